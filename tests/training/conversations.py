"""Dialogues in the files of MELD whose answers depend on the turn before, by construction."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np

HEADER = ("Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID", "Season", "Episode",
          "StartTime", "EndTime")  # fmt: skip
NEWS = {
    "joy": ("They gave me the {}!", "I won a {} today!", "Look, my brother is back with a {}!"),
    "sadness": ("My grandmother, who gave me that {}, died.", "We have lost the {} for ever.",
                "I buried my dog beside the {}."),
    "anger": ("He stole my {} again!", "They broke my {} and laughed.", "She lied to me about the {}!"),
}  # fmt: skip
"""Emotion of the answer -> what is said before it."""
THINGS = {
    "train": ("job", "house", "car", "prize", "boat", "ring", "garden", "bike", "watch", "piano", "coat", "letter",
              "camera", "horse"),
    "dev": ("lamp", "scholarship", "violin", "farm", "medal", "painting"),
    "test": ("guitar", "cabin", "necklace", "trophy", "book", "van"),
}  # fmt: skip
ANSWERS = ("Oh my God, {}.", "Really, {}?", "I can't believe it, {}.", "Wow, {}.", "No way, {}.", "You're kidding, {}.")
"""Say nothing without what was said before."""
NAMES = {
    "train": ("Joey", "Monica", "Ross", "Phoebe", "Rachel", "Chandler", "Gunther", "Janice"),
    "dev": ("Emily", "Carol", "Susan", "Mike"),
    "test": ("Paul", "Mona", "Tag", "Judy"),
}
"""Who is answered: no answer is in two splits."""


def write_meld(folder: Path, *, answers: int = 2, seed: int = 0) -> Path:
    """Write the three files: dialogues of news (neutral) and an answer, the emotion of which the news decide.

    Args:
        folder: made if missing.
        answers: different answers to each piece of news.
        seed: of who says what.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for split, things in THINGS.items():
        rows = []
        pieces = [(emotion, form.format(thing)) for emotion, forms in NEWS.items()
                  for form, thing in itertools.product(forms, things)]  # fmt: skip
        dialogue = 0
        for emotion, news in pieces:
            for answer in random.choice(len(ANSWERS), answers, replace=False):
                first, second = random.choice(NAMES[split], 2, replace=False)
                rows.append((news, first, "neutral", dialogue, 0))
                rows.append((ANSWERS[answer].format(first), second, emotion, dialogue, 1))
                dialogue += 1
        with (folder / f"{split}_sent_emo.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(HEADER)
            for number, (text, speaker, emotion, dialogue, turn) in enumerate(rows, 1):
                writer.writerow((number, text, speaker, emotion, "neutral", dialogue, turn, 1, 1, "00:00:01,000",
                                 "00:00:02,000"))  # fmt: skip
    return folder
