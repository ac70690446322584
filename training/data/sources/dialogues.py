"""Conversations: EmpatheticDialogues (Rashkin et al., ACL 2019) and DailyDialog (Li et al., IJCNLP 2017)."""

from __future__ import annotations

from pathlib import Path

from shared.errors import DataFormatError, DataNotFoundError
from shared.labels import LabelSet
from training.config.data import SourceConfig
from training.data.files import existing, read_lines
from training.data.sources.base import DEV, TEST, TRAIN, WHOLE, RawCorpus, RawSplit
from training.data.sources.turns import previous_turns

EMPATHETIC_LABELS = LabelSet((
    "afraid", "angry", "annoyed", "anticipating", "anxious", "apprehensive", "ashamed", "caring", "confident",
    "content", "devastated", "disappointed", "disgusted", "embarrassed", "excited", "faithful", "furious", "grateful",
    "guilty", "hopeful", "impressed", "jealous", "joyful", "lonely", "nostalgic", "prepared", "proud", "sad",
    "sentimental", "surprised", "terrified", "trusting",
))  # fmt: skip
EMPATHETIC_HEADER = "conv_id,utterance_idx,context,prompt,speaker_idx,utterance,selfeval,tags"
EMPATHETIC_LICENCE = "CC BY-NC 4.0 (Rashkin et al., ACL 2019)"
EMPATHETIC_HOW = "`emotion data get empathetic_dialogues` brings it; give the folder with train.csv as data.path."
DAILY_LABELS = ("neutral", "anger", "disgust", "fear", "joy", "sadness", "surprise")
"""Of the ids 0 to 6; the corpus calls the first "no emotion" and the fifth "happiness"."""
DAILY_LICENCE = "CC BY-NC-SA 4.0 (Li et al., IJCNLP 2017)"
DAILY_HOW = "`emotion data get dailydialog` says how to get it; give its folder as data.path."
END_OF_UTTERANCE = "__eou__"


def read_empathetic_dialogues(source: SourceConfig) -> RawCorpus:
    """Read `train.csv`, `valid.csv` and `test.csv`: the prompt of every conversation, or each of its utterances.

    There is no quoting: commas within a text are written `_comma_`, and further ones stand after the utterance alone.

    Raises:
        DataNotFoundError: when the folder or its files are missing.
        DataFormatError: for another header, too few fields, or an unknown emotion.
    """
    if source.path is None:
        raise DataNotFoundError("data.source=empathetic_dialogues needs data.path.", hint=EMPATHETIC_HOW)
    folder = existing(Path(source.path), "EmpatheticDialogues", EMPATHETIC_HOW)
    files = {TRAIN: "train.csv", DEV: "valid.csv", TEST: "test.csv"}
    there = {split: folder / name for split, name in files.items() if (folder / name).is_file()}
    if not there:
        raise DataNotFoundError(f"no EmpatheticDialogues in {folder.absolute()}.", hint=EMPATHETIC_HOW)
    splits = {split: _read_conversations(path, utterances=source.utterances) for split, path in there.items()}
    missing = {split: f"{name} is not in {folder.absolute()}" for split, name in files.items() if split not in there}
    unit = "each utterance is a text" if source.utterances else "the prompt of each conversation is a text"
    return RawCorpus(
        "empathetic_dialogues", str(folder.absolute()), EMPATHETIC_LABELS.names, splits, EMPATHETIC_LICENCE,
        missing=missing, notes=(unit,),
    )  # fmt: skip


def _read_conversations(path: Path, *, utterances: bool) -> RawSplit:
    lines = read_lines(path)
    if lines[0] != EMPATHETIC_HEADER:
        raise DataFormatError(f"{path} has the header '{lines[0][:80]}'; expected {EMPATHETIC_HEADER}.")
    texts: list[str | None] = []
    rows: list[list[str]] = []
    ids: list[str] = []
    dialogues: list[str] = []
    speakers: list[str | None] = []
    seen: set[str] = set()
    for number, line in enumerate(lines[1:], 2):
        fields = line.split(",", 6)
        if len(fields) < 6:
            raise DataFormatError(f"{path}, line {number}: {len(fields)} fields separated by commas; expected 8.")
        conversation, turn, label, prompt, speaker, utterance = fields[:6]
        if label not in EMPATHETIC_LABELS.names:
            raise DataFormatError(
                f"{path}, line {number}: unknown emotion '{label}'.",
                hint=f"Allowed: {', '.join(EMPATHETIC_LABELS.names)}.",
            )
        if not utterances and conversation in seen:
            continue
        seen.add(conversation)
        texts.append((utterance if utterances else prompt).replace("_comma_", ","))
        rows.append([label])
        ids.append(f"{conversation}:{turn}" if utterances else conversation)
        dialogues.append(conversation)
        speakers.append(speaker.strip() or None)
    context = previous_turns(dialogues, texts, speakers) if utterances else None
    return RawSplit(texts, EMPATHETIC_LABELS.multi_hot(rows), ids, context=context, dialogues=dialogues)


def read_dailydialog(source: SourceConfig) -> RawCorpus:
    """Read texts and ids aligned by line and utterance: one pair of files, or one in each of train, validation, test.

    Dialogues whose numbers of utterances and ids differ are refused and counted: their labels cannot be placed.

    Raises:
        DataNotFoundError: when the folder or its files are missing.
        DataFormatError: when the files disagree in lines, or an id is not in 0..6.
    """
    if source.path is None:
        raise DataNotFoundError("data.source=dailydialog needs data.path.", hint=DAILY_HOW)
    folder = existing(Path(source.path), "DailyDialog", DAILY_HOW)
    pairs = {
        TRAIN: (folder / "train/dialogues_train.txt", folder / "train/dialogues_emotion_train.txt"),
        DEV: (folder / "validation/dialogues_validation.txt", folder / "validation/dialogues_emotion_validation.txt"),
        TEST: (folder / "test/dialogues_test.txt", folder / "test/dialogues_emotion_test.txt"),
    }
    there = {split: pair for split, pair in pairs.items() if all(path.is_file() for path in pair)}
    missing = {split: f"{pair[0].name} is not in {folder.absolute()}" for split, pair in pairs.items()}
    if not there:
        whole = (folder / "dialogues_text.txt", folder / "dialogues_emotion.txt")
        if not all(path.is_file() for path in whole):
            raise DataNotFoundError(f"no DailyDialog in {folder.absolute()}.", hint=DAILY_HOW)
        there, missing = {WHOLE: whole}, {}
    read = {split: _read_dialogues(*pair) for split, pair in there.items()}
    return RawCorpus(
        "dailydialog", str(folder.absolute()), DAILY_LABELS, {split: rows for split, (rows, _) in read.items()},
        DAILY_LICENCE, missing={split: why for split, why in missing.items() if split not in there},
        refused={"dialogues whose utterances and ids differ in number": sum(count for _, count in read.values())},
        notes=("no emotion is neutral, happiness is joy",),
    )  # fmt: skip


def _read_dialogues(texts_path: Path, ids_path: Path) -> tuple[RawSplit, int]:
    """Utterances with their labels, and the dialogues that had to be left out."""
    lines, answers = read_lines(texts_path), read_lines(ids_path)
    if len(lines) != len(answers):
        raise DataFormatError(f"{texts_path} has {len(lines):,} lines, and {ids_path.name} has {len(answers):,}.")
    labels = LabelSet(DAILY_LABELS)
    texts: list[str | None] = []
    rows: list[list[int]] = []
    ids: list[str] = []
    dialogues: list[str] = []
    refused = 0
    for number, (line, answer) in enumerate(zip(lines, answers, strict=True), 1):
        utterances = [part.strip() for part in line.split(END_OF_UTTERANCE)]
        utterances = utterances[:-1] if not utterances[-1] else utterances
        found = answer.split()
        wrong = [word for word in found if word not in map(str, range(len(labels)))]
        if wrong:
            raise DataFormatError(f"{ids_path}, line {number}: '{wrong[0]}' is not an id in 0..{len(labels) - 1}.")
        if len(found) != len(utterances):
            refused += 1
            continue
        texts += utterances
        rows += [[int(word)] for word in found]
        ids += [f"{texts_path.stem}:{number}:{turn}" for turn in range(1, len(found) + 1)]
        dialogues += [f"{texts_path.stem}:{number}"] * len(found)
    context = previous_turns(dialogues, texts)
    return RawSplit(texts, labels.multi_hot(rows), ids, context=context, dialogues=dialogues), refused
