"""Predict offline: `python -m serving.predict BUNDLE --text "..."`, or `--input F --output F` for tables."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.bulk.job import PART_ROWS, Job, check_decisions
from serving.table_turns import TurnColumns
from serving.text_checks import WARNINGS
from shared.bundle import Bundle
from shared.cli import CommandParser, positive, run_command
from shared.errors import ConfigError, InvalidInputError
from shared.languages import language_code
from shared.profiles import for_language
from shared.storage import is_pattern, scheme_of, storage_of
from shared.tables import FORMATS, STDIN, TableOptions, format_of, open_table
from shared.tables.options import named_format
from shared.tables.writing import WRITTEN
from shared.text import normalise

if TYPE_CHECKING:  # ONNX Runtime is loaded once the options are known to be right
    from serving.predictor import Predictor

EXAMPLES = """\
examples:
  BUNDLE --text "I finally got the job!"
  BUNDLE --input reviews.csv --output scored.csv               stopped or killed: the same command goes on
  BUNDLE --input data/ --output scored/                        every table below data/, each complete or absent
  BUNDLE --input 'data/2026-*/*.jsonl' --output scored/ --output_format parquet
  BUNDLE --input s3://bucket/in --output s3://bucket/out       needs fsspec and s3fs
  BUNDLE --input /shared/in --output /shared/out --engine ray  on the cluster that RAY_ADDRESS names
files, partitions, resuming, bad rows, object storage: docs/bulk.md
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict what the command line asks for."""
    options = _parse(arguments)
    if options.input is None:
        _check_texts(options.text)
        _show(_load(options), options)
        return
    sys.stderr.write(f"{_scored(options)}\n")


def _scored(options: argparse.Namespace) -> str:
    """Predict tables; what was done, in a line."""
    job = Job(
        bundle=str(options.bundle), precision=options.precision, provider=options.provider, threads=options.threads,
        profile=_profile(options), policy=options.policy, segments=options.segments, text_column=options.text_column,
        language=None if options.language is None else language_code(options.language),
        language_column=options.language_column, turns=_turns(options),
        overwrite_columns=options.overwrite_columns, reading=_table_options(options), part_rows=PART_ROWS,
    )  # fmt: skip
    if STDIN in (*options.input, options.output):
        return _piped(job, options)
    if options.engine == "ray":
        from serving.bulk.on_ray import score_files
    else:
        from serving.bulk.local import score_files
    return score_files(
        job, options.input, options.output,
        form=options.output_format, restart=options.restart, processes=options.processes,
    )  # fmt: skip


def _piped(job: Job, options: argparse.Namespace) -> str:
    """Predict standard input, or to standard output, in this process."""
    from serving.bulk.scoring import Scorer
    from serving.predict_file import output_format, predict_table

    if options.engine == "ray":
        raise ConfigError("--engine ray scores files into files.", hint="Leave --engine ray out.")
    if len(options.input) > 1:
        raise ConfigError("standard input or output goes with a single table.", hint="Name a folder as --output.")
    if scheme_of(options.output) is not None:
        raise ConfigError("standard input is written to a file of this machine, or to standard output.")
    place = options.input[0]
    form = options.output_format or output_format(
        options.output, options.format or _format_of_input(place, job.reading)
    )
    table = open_table(place if place == STDIN else [storage_of(place).source(place)], job.reading)
    return predict_table(Scorer.open(job), table, options.output, form)


def _load(options: argparse.Namespace) -> Predictor:
    from serving.predictor import Predictor

    predictor = Predictor.load(
        options.bundle, precision=options.precision, provider=options.provider, threads=options.threads
    )
    predictor = predictor.with_profile(_profile(options))
    # what does not fit the bundle is refused before anything is predicted
    check_decisions(predictor.bundle, policy=options.policy, segments=options.segments, explain=options.explain)
    return predictor


def _profile(options: argparse.Namespace) -> str | None:
    """The profile that decides: the one named, or that of the language."""
    if options.language is None:
        named: str | None = options.profile
        return named
    return for_language(Bundle.read(options.bundle, weights=False).profiles, language_code(options.language))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = CommandParser(
        prog="serving.predict",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, help="the bundle's folder")
    parser.add_argument("--text", action="append", help="a text; may be repeated")
    _add_table_options(parser)
    parser.add_argument("--profile", help="profile of the bundle to decide by (default: its own decisions)")
    parser.add_argument(
        "--language", help="of the texts, as en or pt-BR: its own thresholds, where the bundle has some"
    )
    parser.add_argument("--policy", help="decision policy (default: the bundle's)")
    parser.add_argument(
        "--segments",
        choices=("sentence", "paragraph"),
        help="read each by itself, whole, and put the answer for the text together",
    )
    parser.add_argument(
        "--explain", action="store_true", help="with --text: name the words behind each label, and their log-odds"
    )
    parser.add_argument("--precision", help="fp32, int8 or fp16 (default: the best verified one)")
    parser.add_argument("--provider", help="cpu or cuda (default: the best one here)")
    parser.add_argument(
        "--threads", type=positive,
        help="CPU threads of a process (default: 1 where tables are scored in parts, else what the CPU quota allows)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object per --text")
    options = parser.parse_args(arguments)
    if (options.text is None) == (options.input is None):
        raise ConfigError("give either --text or --input, not both and not neither.")
    if sum(given is not None for given in (options.profile, options.language, options.language_column)) > 1:
        raise ConfigError(
            "give either --profile or --language, or --language_column: each says whose thresholds decide."
        )
    if options.explain and options.text is None:
        raise ConfigError("--explain goes with --text.", hint="Explain the texts in question one by one.")
    if options.json and options.text is None:
        raise ConfigError("--json goes with --text.", hint="For tables there is --output_format.")
    if options.text is not None and (given := _table_options_given(options)):
        raise ConfigError(f"{', '.join(given)}: for tables, which --input names.")
    if options.input is not None and options.output is None:
        raise ConfigError("--input needs --output.")
    return options


def _table_options_given(options: argparse.Namespace) -> list[str]:
    """The options of tables that do not have their defaults."""
    tables = argparse.ArgumentParser()
    _add_table_options(tables)
    defaults = vars(tables.parse_args([]))
    return [f"--{name}" for name, default in defaults.items() if getattr(options, name) != default]


def _add_table_options(parser: argparse.ArgumentParser) -> None:
    suffixes = ", ".join(FORMATS)
    parser.add_argument(
        "--input", "--file", nargs="+",
        help=f"tables with a column of texts ({suffixes}, also .gz): files, folders, patterns such as 'data/**/*.csv', "
        "URLs such as s3://bucket/folder, or - for stdin",
    )  # fmt: skip
    parser.add_argument(
        "--output",
        help=f"where to write the rows with their predictions: a file ({', '.join(WRITTEN)}), a folder for several "
        "inputs, whose subfolders it then has, or -",
    )
    parser.add_argument("--output_format", choices=WRITTEN, help="of the outputs (default: each its input's)")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="ray: on a Ray cluster (extra ray)")
    parser.add_argument(
        "--processes", type=positive, help="that score, or actors on Ray (default: one a core; one a GPU)"
    )
    parser.add_argument(
        "--bad_rows", choices=("error", "aside"),
        help="rows that cannot be read: stop at the first (default for one file), or leave them out and write them, "
        "with file, line and reason, to OUTPUT.bad.jsonl (default for folders and several files)",
    )  # fmt: skip
    parser.add_argument(
        "--restart", action="store_true", help="throw away what a stopped run has done, and do not go on from there"
    )
    parser.add_argument(
        "--format",
        choices=sorted(set(FORMATS.values())),
        help="format of stdin and stdout, or of an --input whose suffix does not tell it",
    )
    parser.add_argument("--text_column", default="text", help="column of the texts (default: text)")
    parser.add_argument(
        "--language_column", metavar="COLUMN",
        help="column of each row's language, as en or pt-BR: decided by its own thresholds, where the bundle has some",
    )  # fmt: skip
    parser.add_argument(
        "--context", metavar="COLUMN", help="column of the turns before each text: a list, JSON, or one text"
    )
    parser.add_argument(
        "--dialogue", metavar="COLUMN", help="column of the dialogue of each row: the rows before it are its context"
    )
    parser.add_argument("--speaker", metavar="COLUMN", help="with --dialogue: column of who speaks")
    parser.add_argument(
        "--smooth", type=float, metavar="A", help="with --dialogue: add smoothed probabilities, A of them from before"
    )
    parser.add_argument("--overwrite_columns", action="store_true", help="replace columns of the names that are added")
    parser.add_argument("--encoding", help="of a text file, such as cp1252 (default: UTF-8, or its byte order mark's)")
    parser.add_argument("--separator", help="between columns: a character, comma, semicolon, tab or pipe")
    parser.add_argument("--header", choices=("true", "false"), help="whether the first row names the columns")
    parser.add_argument("--columns", help="names of all columns, separated by commas, where there is no header")
    parser.add_argument("--quoting", choices=("csv", "escaped", "none"), help="of cells (default: csv, or what fits)")
    parser.add_argument("--sheet", help="of a workbook, by name or number from 1")


def _turns(options: argparse.Namespace) -> TurnColumns | None:
    """Where the table has conversations."""
    named = (options.context, options.dialogue, options.speaker, options.smooth)
    return None if named == (None,) * 4 else TurnColumns(*named)


def _table_options(options: argparse.Namespace) -> TableOptions:
    columns = None if options.columns is None else tuple(name.strip() for name in options.columns.split(","))
    # beside an input whose suffix tells its own format, --format is that of standard output
    of_output = options.output == STDIN and named_format(options.input[0]) is not None
    return TableOptions(
        format=None if of_output else options.format, encoding=options.encoding,
        separator=options.separator, header=None if options.header is None else options.header == "true",
        columns=columns, sheet=options.sheet, quoting=options.quoting, prefix="--", tolerant=_tolerant(options),
    )  # fmt: skip


def _tolerant(options: argparse.Namespace) -> bool:
    """Whether bad rows are left out: as said, or where there may be several files."""
    if options.bad_rows is not None:
        if STDIN in (*options.input, options.output) and options.bad_rows == "aside":
            raise ConfigError("--bad_rows aside needs files: there is no place beside standard input and output.")
        if _turns(options) is not None and options.bad_rows == "aside":
            raise ConfigError("--bad_rows aside does not go with --context and --dialogue: a turn would be missing.")
        return bool(options.bad_rows == "aside")
    return STDIN not in (*options.input, options.output) and _turns(options) is None and _is_many(options.input)


def _is_many(inputs: Sequence[str]) -> bool:
    """Whether there may be several files."""
    return len(inputs) > 1 or is_pattern(inputs[0]) or storage_of(inputs[0]).is_folder(inputs[0])


def _format_of_input(path: str, reading: TableOptions) -> Any:
    """The format of a named input: standard output takes it over, where it can be written."""
    found = None if path == STDIN else format_of(storage_of(path).source(path), reading)
    return found if found in WRITTEN else "jsonl"


def _check_texts(texts: Sequence[str]) -> None:
    for text in texts:
        if not normalise(text):
            raise InvalidInputError("the text is empty: it holds no visible character.")


def _show(predictor: Predictor, options: argparse.Namespace) -> None:
    """Print what is read in each text, for a person or as JSON."""
    from serving.http.schemas import PredictRequest
    from serving.local_reading import read_here
    from serving.text_checks import TextChecks

    bundle = predictor.bundle
    of_labels: dict[str, Any] = {
        "policy": options.policy, "segments": options.segments, "explain": options.explain, "probabilities": True,
        "top_k": len(predictor.labels),
    }  # fmt: skip
    request = PredictRequest(
        texts=options.text, language=options.language, **(of_labels if bundle.readout is None else {})
    )
    for text, reading in zip(
        options.text, read_here(predictor, TextChecks(bundle), options.text, request, bundle), strict=True
    ):
        if options.json:
            sys.stdout.write(json.dumps(_content(text, reading.result), ensure_ascii=False) + "\n")
        else:
            sys.stdout.write(_described(text, reading.result))


def _content(text: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """The answer as JSON: a `TextResult` with the text, and the decided labels by name."""
    if "intensities" in result:
        return {"text": text, **result}
    found = {"text": text, **result, "labels": _decided(result), "probabilities": _ranked(result)}
    if "segments" in result:
        found["segments"] = [{**each, "labels": _decided(each)} for each in result["segments"]]
    return found


def _decided(result: Mapping[str, Any]) -> list[str]:
    return [score["label"] for score in result["labels"] if score["decided"]]


def _ranked(result: Mapping[str, Any]) -> dict[str, float]:
    return {score["label"]: score["probability"] for score in result["labels"]}


def _described(text: str, result: Mapping[str, Any], shown: int = 3) -> str:
    """A text and its labels for a person: those decided, marked by a star, and at least the `shown` likeliest."""
    lines = [normalise(text)]
    if "intensities" in result:
        for score in result["intensities"]:
            interval = f"[{score['low']:.3f}, {score['high']:.3f}]"
            level = "" if score["level"] is None else f"  level {score['level']:g}"
            lines.append(f"  {score['label']:<16} {score['intensity']:.3f}  {interval}{level}")
        return "\n".join([*lines, *(f"  note: {WARNINGS[code]}" for code in result["warnings"])]) + "\n"
    for place, score in enumerate(result["labels"]):
        if score["decided"] or place < shown:
            lines.append(f"  {'*' if score['decided'] else ' '} {score['label']:<16} {score['probability']:.3f}")
    if nearest := result.get("probably"):
        lines.append(f"  probably {nearest['label']}, {nearest['distance']:.3f} below its threshold")
    lines += [f"  note: {WARNINGS[code]}" for code in result["warnings"]]
    lines += _reasons(result)
    for each in result.get("segments", ()):
        lines.append(f"  [{each['start']}:{each['end']}] {normalise(text[each['start'] : each['end']])}")
        lines.append(f"      {', '.join(_decided(each)) or 'probably ' + each['probably']['label']}")
        lines += [f"    {line}" for line in _reasons(each)]
    return "\n".join(lines) + "\n"


def _reasons(result: Mapping[str, Any], most: int = 5) -> list[str]:
    """The words with the largest contributions of each decided label."""
    found = []
    for label, scores in (result.get("reasons") or {}).items():
        largest = sorted(scores, key=lambda score: -abs(score["contribution"]))[:most]
        found.append(f"  {label}: " + ", ".join(f"{each['word']} {each['contribution']:+.2f}" for each in largest))
    return found


if __name__ == "__main__":
    run_command(main)
