"""Predict offline: `python -m serving.predict BUNDLE --text "..."`, or `--input F --output F` for a whole table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.predict_file import output_format, predict_table
from shared.cli import CommandParser, positive, run_command
from shared.errors import ConfigError, InvalidInputError
from shared.tables import FORMATS, STDIN, TableOptions, format_of, open_table
from shared.tables.writing import WRITTEN
from shared.text import normalise

if TYPE_CHECKING:  # ONNX Runtime is loaded once the options are known to be right
    from serving.predictor import Predictor


def main(arguments: Sequence[str] | None = None) -> None:
    """Predict what the command line asks for."""
    options = _parse(arguments)
    if options.input is None:
        _check_texts(options.text)
        predictor = _load(options)
        _show(predictor, options.text, options.policy, as_json=options.json)
        return
    reading = _table_options(options)
    form = output_format(options.output, options.format or _format_of_input(options, reading))
    table = open_table(options.input, reading)
    predictor = _load(options)
    done = predict_table(
        predictor, table, options.output, form, text_column=options.text_column, policy=options.policy,
        overwrite_columns=options.overwrite_columns,
    )  # fmt: skip
    sys.stderr.write(f"{done}\n")


def _load(options: argparse.Namespace) -> Predictor:
    from serving.predictor import Predictor

    predictor = Predictor.load(
        options.bundle, precision=options.precision, provider=options.provider, threads=options.threads
    )
    predictor = predictor.with_profile(options.profile)
    predictor.policies.get(options.policy)  # an unknown one is refused before anything is predicted
    return predictor


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = CommandParser(prog="serving.predict", description=__doc__)
    parser.add_argument("bundle", type=Path, help="the bundle's folder")
    parser.add_argument("--text", action="append", help="a text; may be repeated")
    _add_table_options(parser)
    parser.add_argument("--profile", help="profile of the bundle to decide by (default: its own decisions)")
    parser.add_argument("--policy", help="decision policy (default: the bundle's)")
    parser.add_argument("--precision", help="fp32, int8 or fp16 (default: the best verified one)")
    parser.add_argument("--provider", help="cpu or cuda (default: the best one here)")
    parser.add_argument("--threads", type=positive, help="CPU threads (default: what the CPU quota allows)")
    parser.add_argument("--json", action="store_true", help="print one JSON object per --text")
    options = parser.parse_args(arguments)
    if (options.text is None) == (options.input is None):
        raise ConfigError("give either --text or --input, not both and not neither.")
    if options.input is not None and options.output is None:
        raise ConfigError("--input needs --output.")
    return options


def _add_table_options(parser: argparse.ArgumentParser) -> None:
    suffixes = ", ".join(FORMATS)
    parser.add_argument("--input", help=f"a table with a column of texts ({suffixes}, also .gz), or - for stdin")
    parser.add_argument("--output", help=f"where to write its rows and predictions ({', '.join(WRITTEN)}), or -")
    parser.add_argument(
        "--format",
        choices=sorted(set(FORMATS.values())),
        help="format of stdin and stdout, or of an --input whose suffix does not tell it",
    )
    parser.add_argument("--text_column", default="text", help="column of the texts (default: text)")
    parser.add_argument("--overwrite_columns", action="store_true", help="replace columns of the names that are added")
    parser.add_argument("--encoding", help="of a text file, such as cp1252 (default: UTF-8, or its byte order mark's)")
    parser.add_argument("--separator", help="between columns: a character, comma, semicolon, tab or pipe")
    parser.add_argument("--header", choices=("true", "false"), help="whether the first row names the columns")
    parser.add_argument("--columns", help="names of all columns, separated by commas, where there is no header")
    parser.add_argument("--quoting", choices=("csv", "escaped", "none"), help="of cells (default: csv, or what fits)")
    parser.add_argument("--sheet", help="of a workbook, by name or number from 1")


def _table_options(options: argparse.Namespace) -> TableOptions:
    columns = None if options.columns is None else tuple(name.strip() for name in options.columns.split(","))
    return TableOptions(
        format=options.format if options.input == STDIN or options.output != STDIN else None, encoding=options.encoding,
        separator=options.separator, header=None if options.header is None else options.header == "true",
        columns=columns, sheet=options.sheet, quoting=options.quoting, prefix="--",
    )  # fmt: skip


def _format_of_input(options: argparse.Namespace, reading: TableOptions) -> Any:
    """The format of a named input: standard output takes it over, where it can be written."""
    found = None if options.input == STDIN else format_of(Path(options.input), reading)
    return found if found in WRITTEN else "jsonl"


def _check_texts(texts: Sequence[str]) -> None:
    for text in texts:
        if not normalise(text):
            raise InvalidInputError("the text is empty: it holds no visible character.")


def _show(predictor: Predictor, texts: Sequence[str], policy: str | None, *, as_json: bool) -> None:
    probabilities = predictor.probabilities(predictor.logits(texts))
    for text, row, decided in zip(texts, probabilities, predictor.policies.decide(probabilities, policy), strict=True):
        ranked = [(predictor.labels[i], float(row[i]), bool(decided[i])) for i in np.argsort(-row, kind="stable")]
        if as_json:
            content: dict[str, Any] = {
                "text": text,
                "labels": [name for name, _, chosen in ranked if chosen],
                "probabilities": {name: p for name, p, _ in ranked},
            }
            sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")
        else:
            sys.stdout.write(_described(text, ranked))


def _described(text: str, ranked: Sequence[tuple[str, float, bool]], shown: int = 3) -> str:
    """A text and its labels for a person: those decided, marked by a star, and at least the `shown` likeliest."""
    lines = [line for place, line in enumerate(ranked) if line[2] or place < shown]
    marked = (f"  {'*' if chosen else ' '} {name:<16} {p:.3f}" for name, p, chosen in lines)
    return "\n".join((normalise(text), *marked)) + "\n"


if __name__ == "__main__":
    run_command(main)
