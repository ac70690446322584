"""`emotion compare A B ...`: bundles, runs or precisions side by side on the same rows, with paired intervals."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from training.config.evaluate import CompareOptions
from training.config.parser import parse_options

if TYPE_CHECKING:
    from shared.bundle import Bundle
    from training.evaluation.inference import LogitsOf

DESCRIPTION = """Compare bundles on the same rows; the first is what the others are compared with.

Name folders of bundles or runs, with @fp32, @int8 or @fp16 behind one for an exported model as it is served. The table
goes to stderr; the last line on stdout is one JSON object."""


def main(argv: Sequence[str]) -> int:
    """Compare what the command line names, and print one line of JSON."""
    first_option = next((place for place, word in enumerate(argv) if word.startswith("-")), len(argv))
    named, rest = list(argv[:first_option]), argv[first_option:]
    options, _ = parse_options(
        CompareOptions,
        rest,
        prog="emotion compare",
        description=DESCRIPTION,
        several="BUNDLE BUNDLE ...",
        examples=["runs/a runs/b", "runs/a/bundle@fp32 runs/a/bundle@int8 --output comparison"],
    )
    from training.evaluation.compare_bundles import as_text, compare_bundles  # noqa: PLC0415  (the help needs it not)

    result = compare_bundles(named, options, opened=lambda bundle, precision: _opened(bundle, precision, options))
    sys.stderr.write(as_text(result))
    for note in result["notes"]:
        sys.stderr.write(f"note: {note}\n")
    sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
    return 0


def _opened(bundle: Bundle, precision: str, options: CompareOptions) -> tuple[LogitsOf, Path]:
    from serving.predictor import Predictor  # noqa: PLC0415  (a comparison of trained models needs no ONNX Runtime)

    predictor = Predictor.load(bundle.path, precision=precision, threads=options.threads)
    return predictor.logits, predictor.model.path
