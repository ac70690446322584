"""Words that distinguish a label from something else: names of emotions, of flags, of splits."""

from __future__ import annotations

import re
from collections.abc import Iterable

from shared.labels import GOEMOTIONS

EMOTIONS = frozenset(
    {
        *GOEMOTIONS,
        # Plutchik, SemEval-2018 E-c, XED, EmoEvent, DailyDialog, ISEAR, CrowdFlower
        "anticipation", "pessimism", "trust", "happiness", "shame", "guilt", "contempt", "boredom", "enthusiasm",
        "worry", "hate", "fun", "empty", "others", "other", "no emotion", "no_emotion", "noemo", "none", "calm",
        "happy", "sad", "angry", "fearful", "disgusted", "surprised", "frustration", "stress", "hope", "anxiety",
        "loneliness", "love", "interest", "serenity", "acceptance", "sympathy", "positive", "negative",
        "ambiguous", "mixed",
        # EmpatheticDialogues
        "afraid", "annoyed", "anticipating", "anxious", "apprehensive", "ashamed", "caring", "confident", "content",
        "devastated", "disappointed", "embarrassed", "excited", "faithful", "furious", "grateful", "guilty", "hopeful",
        "impressed", "jealous", "joyful", "lonely", "nostalgic", "prepared", "proud", "sentimental", "terrified",
        "trusting",
    }
)  # fmt: skip
"""Names of emotions in the corpora of the field, in lower case: evidence that a word is a label."""

PREFIXES = ("label_", "emotion_", "is_", "labels.", "emo_", "has_")
FLAG = re.compile(
    r"(?:is|has|was|can|needs)_.*|.*(?:unclear|retweet|verified|deleted|truncated|favou?rited|sensitive|spam|duplicate|"
    r"valid|quality|gold|checked|reviewed|annotated|edited|removed|stickied|pinned|controversial|nsfw|bot|is_?test|"
    r"flag|agreement|skip|exclude|sampled|holdout|ironic|sarcastic|off_?topic)"
)
"""Names of 0/1 columns that describe the row and not its emotion."""
RATER = re.compile(r"(?:rater|annotator|coder|judge|worker|ann|anno|r|a)[\s_-]*\d+", re.IGNORECASE)
"""Names of columns that hold the answers of one rater each."""
ANSWERS = ("answer", "value", "present", "vote", "response", "annotation", "is_present", "applies")
"""Names of columns that hold one answer to whether the text has the label of the row."""
ANSWER_WORDS = {
    "true": 1.0, "yes": 1.0, "accept": 1.0, "false": 0.0, "no": 0.0, "reject": 0.0, "ignore": float("nan"),
}  # fmt: skip
"""What a rater's answer in words counts, also as Prodigy writes it; NaN is none."""
RATER_ID = ("rater_id", "rater", "annotator_id", "annotator", "worker_id", "worker", "workerid", "coder", "coder_id")
"""Names of columns that say who gave a row's answer."""
SPLIT_COLUMNS = ("split", "set", "partition", "subset", "data_split", "dataset_split", "fold_name")


def is_emotion(name: str) -> bool:
    """Whether a column is called after an emotion, with or without a prefix such as `label_`."""
    word = name.strip().casefold()
    return any(word.removeprefix(prefix).replace("_", " ") in EMOTIONS or word.removeprefix(prefix) in EMOTIONS
               for prefix in ("", *PREFIXES))  # fmt: skip


def is_flag(name: str) -> bool:
    """Whether a column is called as those that describe a row are."""
    word = re.sub(r"[\s-]+", "_", name.strip().casefold())
    return not is_emotion(name) and FLAG.fullmatch(word) is not None


def split_column(columns: Iterable[str]) -> str | None:
    """The first column whose name says that it holds the split of each row."""
    return next((column for column in columns if column.strip().lower() in SPLIT_COLUMNS), None)
