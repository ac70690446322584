"""What is asked for: which bundle scores which files, and how; may be sent to other processes and machines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from serving.table_turns import TurnColumns
from shared.bundle import Bundle
from shared.errors import ConfigError, DataNotFoundError
from shared.profiles import LANGUAGE
from shared.storage import FoundFile, join, plain, storage_of, whole_path
from shared.tables import FORMATS, Format, TableOptions, format_of
from shared.tables.options import COMPRESSED, PACKED, is_packed, named_format, unpacked
from shared.tables.writing import WRITTEN, written_format

PREDICTED = "predicted_labels"
"""Column of the labels decided for a row."""
PART_ROWS = 4096
"""Rows of a part: what is scored at once, in batches of similar length, and what a kill costs at most a process."""
STATE_FOLDER = ".emotion"
"""In the folder of outputs: what is done (`serving/bulk/outputs.py`)."""
BAD_SUFFIX = ".bad.jsonl"
"""After the name of an output: its rows that were left out."""


def check_decisions(
    bundle: Bundle,
    *,
    policy: str | None,
    segments: str | None,
    explain: bool = False,
    language_column: str | None = None,
) -> None:
    """Refuse a policy that a bundle has not, and what is made for labels where it answers intensities.

    Raises:
        ConfigError: naming the option.
        InvalidInputError: for an unknown policy; the known ones are listed.
    """
    if bundle.readout is None:
        bundle.policies.get(policy)
        return
    for name, given in {
        "policy": policy,
        "segments": segments,
        "explain": explain,
        "language_column": language_column,
    }.items():
        if given:
            raise ConfigError(
                f"--{name}: the model of {bundle.path} answers intensities and decides no labels.", hint="Leave it out."
            )


@dataclass(frozen=True)
class Job:
    """How rows are scored.

    Attributes:
        bundle: its folder, which every process must be able to read.
        precision: fp32, int8, fp16, or None for the best one.
        provider: cpu, cuda, or None for the best one.
        threads: of a process; 1 when None, or all that the quota allows where a single part is all there is.
        profile: of the bundle, to decide by.
        policy: of the decisions.
        segments: "sentence" or "paragraph" where each is read by itself.
        language: code of all texts, whose abbreviations `segments` know.
        language_column: where each row's language is, by whose thresholds it is decided.
        turns: where the previous turns are; None where rows are read alone.
        text_column: where the texts are.
        overwrite_columns: whether columns that have the names of the added ones are replaced.
        reading: what is said about the tables; bad rows are left out where it is tolerant.
        part_rows: rows of a part.
        graded: whether the bundle answers intensities; said by whoever has read it.
    """

    bundle: str
    precision: str | None = None
    provider: str | None = None
    threads: int | None = None
    profile: str | None = None
    policy: str | None = None
    segments: Literal["sentence", "paragraph"] | None = None
    text_column: str = "text"
    language: str | None = None
    language_column: str | None = None
    turns: TurnColumns | None = None
    overwrite_columns: bool = False
    reading: TableOptions = TableOptions(prefix="--")  # noqa: RUF009  frozen
    part_rows: int = PART_ROWS
    graded: bool = False

    @property
    def named(self) -> dict[str, str]:
        """The columns that a table must have, with the option that names each."""
        columns = {"text_column": self.text_column, "language_column": self.language_column}
        columns |= (
            {}
            if self.turns is None
            else {"context": self.turns.context, "dialogue": self.turns.dialogue, "speaker": self.turns.speaker}
        )
        return {option: name for option, name in columns.items() if name is not None}

    def added(self, labels: Sequence[str]) -> list[str]:
        """Names of the columns that are added: decided labels and probabilities, or intensities with their intervals.

        Args:
            labels: of the bundle.
        """
        if self.graded:
            return [column for name in labels for column in (f"i_{name}", f"i_{name}_low", f"i_{name}_high")]
        smoothed = [] if self.turns is None else self.turns.added(labels)
        return [PREDICTED, *(f"p_{name}" for name in labels), *smoothed]

    def identity(self, seal: str, model: str, form: Format | None) -> dict[str, Any]:
        """What the content of an output depends on, besides its input; for a resumed run to compare, as JSON has it.

        Args:
            seal: of the bundle.
            model: precision and provider that were chosen, here and now.
            form: of the outputs; each its input's when None.
        """
        found = asdict(self) | {"bundle": seal, "model": model, "output_format": form}
        for key in ("threads", "reading", "graded", "precision", "provider"):
            del found[key]
        for key in ("language", "language_column", "turns"):  # which runs of 0.2 did not know
            if found[key] is None:
                del found[key]
        reading = {key: value for key, value in asdict(self.reading).items() if key not in ("prefix", "tolerant")}
        found |= {f"table.{key}": value for key, value in reading.items() if value is not None}
        same: dict[str, Any] = json.loads(json.dumps(found))  # a tuple is a list in what is read back
        return same


def decision_notes(job: Job, bundle: Bundle) -> list[str]:
    """What there is to say about how a bundle reads and decides the rows of a job.

    Raises:
        ConfigError: when it cannot read their previous turns.
    """
    notes = [] if job.turns is None else job.turns.check(bundle)
    if job.language_column is None:
        return notes
    known = sorted(str(profile.about[LANGUAGE]) for profile in bundle.profiles.values() if LANGUAGE in profile.about)
    if not known:
        return [*notes, "the bundle has thresholds of no language: all rows are decided by the shared ones"]
    return [*notes, f"rows in {', '.join(known)} are decided by their own thresholds, others by the shared ones"]


@dataclass(frozen=True)
class ScoredFile:
    """An input file and what becomes of it.

    Attributes:
        source: the input.
        target: where its output goes.
        relative: the target below the folder of outputs.
        form: format of the output.
    """

    source: FoundFile
    target: str
    relative: str
    form: Format

    @property
    def packed(self) -> bool:
        """Whether the output is compressed."""
        return is_packed(self.target)

    @property
    def state_name(self) -> str:
        """The folder of its parts: short, whatever its path is."""
        return state_name(self.relative)

    def version(self) -> dict[str, Any]:
        """What tells whether the input is the one that was read, however its path is spelt."""
        return {"source": whole_path(self.source.path), "size": self.source.size, "version": self.source.version}


def state_name(relative: str) -> str:
    """The folder of the parts of an output, by its path below the folder of outputs."""
    return hashlib.sha256(relative.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Inputs:
    """The files to score.

    Attributes:
        files: with their outputs.
        single: whether the output is a single file.
        no_tables: number of the files that were passed over, as they are no tables.
        outputs: number of those that fit a pattern and were written by an earlier run.
    """

    files: Sequence[ScoredFile]
    single: bool
    no_tables: int = 0
    outputs: int = 0


def find_files(inputs: Sequence[str], output: str, reading: TableOptions, form: Format | None = None) -> Inputs:
    """The files to score, each with its output; outputs of an earlier run are none of them.

    Args:
        inputs: files, folders, or patterns with `*`, `?` and `**`; local paths or URLs.
        output: a file where the input is a single one, else a folder; the files of folders keep their subfolders.
        reading: what is said about the tables.
        form: of the outputs; each its input's when None.

    Raises:
        DataNotFoundError: when there is no such file.
        ConfigError: for outputs that are not told apart, that cannot be written, or that would be read again.
    """
    store = storage_of(output)
    single = len(inputs) == 1 and _is_file(inputs[0]) and not output.endswith("/") and not store.is_folder(output)
    written_before = set() if single else {*store.names(join(output, STATE_FOLDER))}
    found: list[ScoredFile] = []
    no_tables = outputs = 0
    for place in inputs:
        files = storage_of(place).find(place)
        if not files:
            if PurePosixPath(place).suffix:
                format_of(storage_of(place).source(place), reading)  # an unknown format is told of first
            raise DataNotFoundError(
                f"no input file at {place}: looked for {storage_of(place).source(place).absolute()}."
            )
        _check_apart(place, output, single)
        named = len(files) == 1 and _is_file(place)
        tables = files if named else [file for file in files if _is_table(file, reading)]
        usable = tables if named else [file for file in tables if not _is_output(file, output, written_before)]
        no_tables += len(files) - len(tables)
        outputs += len(tables) - len(usable)
        if not usable:
            suffixes = f"its files have other suffixes than {', '.join(FORMATS)}"
            raise DataNotFoundError(
                f"no table in {place}: {'they are outputs of an earlier run' if tables else suffixes}."
            )
        for file in usable:
            relative, written = _target(file, output, single, reading, form)
            found.append(ScoredFile(file, output if single else join(output, relative), relative, written))
    named_file = named_format(output) is not None and not output.endswith("/")
    if not single and named_file and not store.is_folder(output):
        raise ConfigError(
            f"{output} is named like a file, and {len(found)} input files are scored, each into an output of its own.",
            hint=f"Name a folder, or write {output}/ for a folder of that name.",
        )
    _check_different(found)
    return Inputs(found, single, no_tables, outputs)


def _is_file(place: str) -> bool:
    return storage_of(place).exists(place)


def _is_table(file: FoundFile, reading: TableOptions) -> bool:
    hidden = any(part.startswith((".", "_")) for part in file.relative.split("/"))
    return not hidden and not file.path.endswith(BAD_SUFFIX) and (reading.format or named_format(file.path)) is not None


def _is_output(file: FoundFile, output: str, before: Collection[str]) -> bool:
    """Whether an earlier run wrote a file; `before` has the names of the states of its outputs."""
    relative = _below(output, file.path) if before else None
    return relative is not None and state_name(relative) in before


def _target(
    file: FoundFile, output: str, single: bool, reading: TableOptions, form: Format | None
) -> tuple[str, Format]:
    """Name and format of an output."""
    read = format_of(storage_of(file.path).source(file.path), reading)
    if single:
        return PurePosixPath(plain(output)).name, form or written_format(output)
    written = form or read
    if written not in WRITTEN:
        raise ConfigError(
            f"{file.path} is read as {read}, which is not written.",
            hint=f"Give --output_format: {', '.join(WRITTEN)}.",
        )
    if written == read:
        return file.relative, written
    stem = PurePosixPath(unpacked(file.relative)).with_suffix("")
    packed = is_packed(file.relative) and written not in COMPRESSED
    return f"{stem}.{written}{PACKED if packed else ''}", written


def _check_apart(place: str, output: str, single: bool) -> None:
    """Outputs of this run in a folder of inputs are refused; those that only fit a pattern are told by their states."""
    inside = _below(place, output) is not None
    if not single and inside and storage_of(place).is_folder(place):
        raise ConfigError(f"the outputs, {output}, are within the inputs, {place}.", hint="Name another folder.")


def _below(folder: str, place: str) -> str | None:
    """The path of a place below a folder; None where it is elsewhere."""
    outer, inner = (f"{whole_path(path).rstrip('/')}/" for path in (folder, place))
    return inner.removeprefix(outer).rstrip("/") if inner.startswith(outer) else None


def _check_different(files: Sequence[ScoredFile]) -> None:
    seen: dict[str, str] = {}
    sources = {whole_path(file.source.path) for file in files}
    for file in files:
        if whole_path(file.target) in sources:
            raise ConfigError(f"{file.target} is an input, too.", hint="Name another output.")
        if file.target in seen:
            raise ConfigError(
                f"{seen[file.target]} and {file.source.path} would both be written to {file.target}.",
                hint="Score them in two runs, or give the folder that holds both.",
            )
        seen[file.target] = file.source.path


def differences(now: dict[str, Any], before: dict[str, Any]) -> str:
    """What two identities differ in, in short."""
    keys = sorted({*now, *before})
    found = [
        f"{key} {json.dumps(before.get(key))} then, {json.dumps(now.get(key))} now"
        for key in keys
        if now.get(key) != before.get(key)
    ]
    return "; ".join(found)
