"""Short posts with one emotion each: TweetEval, EmoEvent, and the corpus of Saravia et al. ("dair-ai/emotion")."""

from __future__ import annotations

from pathlib import Path

from shared.errors import DataFormatError, DataNotFoundError
from shared.labels import LabelSet
from shared.tables import split_of_name
from training.config.data import SourceConfig
from training.data.files import existing, read_lines
from training.data.sources.base import DEV, TEST, TRAIN, WHOLE, RawCorpus, RawSplit

TWEET_EVAL_LICENCE = "research use; tweets under the terms of X (Barbieri et al., Findings of EMNLP 2020)"
TWEET_EVAL_HOW = "`emotion data get tweet_eval` brings it; give the folder with mapping.txt as data.path."
TWEET_EVAL_FILES = {TRAIN: "train", DEV: "val", TEST: "test"}
DAIR_LABELS = LabelSet(("sadness", "joy", "love", "anger", "fear", "surprise"))
DAIR_LICENCE = "educational and research use alone (Saravia et al., EMNLP 2018)"
DAIR_HOW = "Give the folder with train.txt, val.txt and test.txt (`text;emotion`), or the hub's Parquet, as data.path."
EMOEVENT_LABELS = LabelSet(("anger", "disgust", "fear", "joy", "sadness", "surprise", "others"))
EMOEVENT_LICENCE = "research use; tweets under the terms of X (Plaza-del-Arco et al., LREC 2020)"
EMOEVENT_HOW = "Give emoevent_en.csv or emoevent_es.csv (tab-separated), or a folder of split files, as data.path."


def read_tweet_eval(source: SourceConfig) -> RawCorpus:
    """Read `mapping.txt` and `{train,val,test}_{text,labels}.txt`, aligned by line.

    Raises:
        DataNotFoundError: when the folder or its files are missing.
        DataFormatError: when a pair of files disagrees in lines, or an id is not in the mapping.
    """
    folder = _folder(source, "tweet_eval", "TweetEval emotion", TWEET_EVAL_HOW)
    labels = _read_mapping(existing(folder / "mapping.txt", "TweetEval's mapping", TWEET_EVAL_HOW))
    splits, missing = {}, {}
    for split, name in TWEET_EVAL_FILES.items():
        texts, ids = folder / f"{name}_text.txt", folder / f"{name}_labels.txt"
        if not (texts.is_file() and ids.is_file()):
            missing[split] = f"{texts.name} and {ids.name} are not both in {folder.absolute()}"
            continue
        lines, answers = read_lines(texts), read_lines(ids)
        if len(lines) != len(answers):
            raise DataFormatError(f"{texts} has {len(lines):,} lines, and {ids.name} has {len(answers):,}.")
        rows = [[_id(answer, labels, ids, number)] for number, answer in enumerate(answers, 1)]
        names = [f"{name}:{number}" for number in range(1, len(lines) + 1)]
        splits[split] = RawSplit([line.strip() for line in lines], labels.multi_hot(rows), names)
    if not splits:
        raise DataNotFoundError(f"no TweetEval emotion in {folder.absolute()}.", hint=TWEET_EVAL_HOW)
    return RawCorpus("tweet_eval", str(folder.absolute()), labels.names, splits, TWEET_EVAL_LICENCE, missing=missing)


def _read_mapping(path: Path) -> LabelSet:
    pairs = [line.split("\t", 1) for line in read_lines(path)]
    if not all(len(pair) == 2 for pair in pairs) or [pair[0].strip() for pair in pairs] != [
        *map(str, range(len(pairs)))
    ]:
        raise DataFormatError(f"{path} is not a mapping: expected lines `0<TAB>name` in the order of the ids.")
    return LabelSet(tuple(name.strip() for _, name in pairs))


def _id(answer: str, labels: LabelSet, path: Path, number: int) -> int:
    if not answer.strip().isdecimal() or int(answer) >= len(labels):
        raise DataFormatError(f"{path}, line {number}: '{answer}' is not an id in 0..{len(labels) - 1}.")
    return int(answer)


def read_dair_emotion(source: SourceConfig) -> RawCorpus:
    """Read `{train,val,test}.txt`, a line `text;emotion` each, with or without a header; or Parquet as on the hub.

    Raises:
        DataNotFoundError: when the folder or its files are missing.
        DataFormatError: for a line without an emotion that is one of the six.
    """
    from training.data.sources.table import read_table_source  # noqa: PLC0415  (it needs the registry of sources)

    folder = _folder(source, "dair_emotion", "dair-ai/emotion", DAIR_HOW)
    files = {TRAIN: folder / "train.txt", DEV: folder / "val.txt", TEST: folder / "test.txt"}
    splits = {split: _read_dair(path) for split, path in files.items() if path.is_file()}
    if not splits and any(folder.rglob("*.parquet")):
        table = read_table_source(source, DAIR_LABELS.names)
        return RawCorpus(
            "dair_emotion", str(folder.absolute()), table.labels, table.splits, DAIR_LICENCE, missing=table.missing,
            notes=table.notes, refused=table.refused,
        )  # fmt: skip
    if not splits:
        raise DataNotFoundError(f"no dair-ai/emotion in {folder.absolute()}.", hint=DAIR_HOW)
    absent = {split: path.name for split, path in files.items() if split not in splits}
    return RawCorpus(
        "dair_emotion", str(folder.absolute()), DAIR_LABELS.names, splits, DAIR_LICENCE,
        missing={split: f"{name} is not in {folder.absolute()}" for split, name in absent.items()},
    )  # fmt: skip


def _read_dair(path: Path) -> RawSplit:
    texts: list[str | None] = []
    rows, ids = [], []
    for number, line in enumerate(read_lines(path), 1):
        text, mark, label = line.rpartition(";")
        if number == 1 and label.strip().lower() in ("emotion", "label"):
            continue
        if not mark or label.strip() not in DAIR_LABELS.names:
            raise DataFormatError(
                f"{path}, line {number}: '{label.strip()[:40]}' is no emotion of this corpus; expected `text;emotion`.",
                hint=f"Allowed: {', '.join(DAIR_LABELS.names)}.",
            )
        texts.append(text)
        rows.append([label.strip()])
        ids.append(f"{path.stem}:{number}")
    return RawSplit(texts, DAIR_LABELS.multi_hot(rows), ids)


def read_emoevent(source: SourceConfig) -> RawCorpus:
    """Read a file of one language, or a folder of split files; tab-separated in spite of the name, with a header.

    Raises:
        DataNotFoundError: when nothing is there.
        DataFormatError: when a column is missing, a line has another number of fields, or an emotion is unknown.
    """
    if source.path is None:
        raise DataNotFoundError("data.source=emoevent needs data.path.", hint=EMOEVENT_HOW)
    path = existing(Path(source.path), "EmoEvent", EMOEVENT_HOW)
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.suffix in (".csv", ".tsv", ".txt"))
    if source.language and path.is_dir():
        files = [file for file in files if source.language in file.stem.replace("-", "_").split("_")]
    splits: dict[str, RawSplit] = {}
    for file in files:
        words = [split_of_name(word) for word in file.stem.replace("-", "_").split("_")]
        split = next((word for word in words if word), WHOLE)
        if split in splits:
            raise DataFormatError(
                f"{path.absolute()} holds several files for '{split}': {', '.join(f.name for f in files)}.",
                hint="Give one file, or name the language with data.language, such as en.",
            )
        splits[split] = _read_emoevent(file)
    if not splits:
        raise DataNotFoundError(f"no EmoEvent in {path.absolute()}.", hint=EMOEVENT_HOW)
    if WHOLE in splits and len(splits) > 1:
        raise DataFormatError(
            f"{path.absolute()} holds files of splits and others: {', '.join(file.name for file in files)}.",
            hint="Give one file, or a folder with the split files alone.",
        )
    codes = {"en", "es"}.intersection(*(file.stem.replace("-", "_").split("_") for file in files))
    language = codes.pop() if len(codes) == 1 else None
    return RawCorpus(
        "emoevent", str(path.absolute()), EMOEVENT_LABELS.names, splits, EMOEVENT_LICENCE, language=language
    )


def _read_emoevent(path: Path) -> RawSplit:
    lines = read_lines(path)
    header = [name.strip().lower() for name in lines[0].split("\t")]
    if "tweet" not in header or "emotion" not in header:
        raise DataFormatError(f"{path} has the columns {', '.join(header)}; expected tweet and emotion, tab-separated.")
    text_at, label_at = header.index("tweet"), header.index("emotion")
    texts: list[str | None] = []
    rows, ids = [], []
    for number, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        if len(fields) != len(header):
            raise DataFormatError(f"{path}, line {number}: {len(fields)} fields where the header has {len(header)}.")
        label = fields[label_at].strip().lower()
        if label not in EMOEVENT_LABELS.names:
            raise DataFormatError(
                f"{path}, line {number}: unknown emotion '{label}'.",
                hint=f"Allowed: {', '.join(EMOEVENT_LABELS.names)}.",
            )
        texts.append(fields[text_at])
        rows.append([label])
        ids.append(f"{path.stem}:{fields[header.index('id')] if 'id' in header else number}")
    return RawSplit(texts, EMOEVENT_LABELS.multi_hot(rows), ids)


def _folder(source: SourceConfig, kind: str, what: str, how: str) -> Path:
    if source.path is None:
        raise DataNotFoundError(f"data.source={kind} needs data.path.", hint=how)
    return existing(Path(source.path), what, how)
