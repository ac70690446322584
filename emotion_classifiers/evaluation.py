"""`emotion evaluate BUNDLE`: metrics on any data, of the trained model or, with `--precision`, of a served one.

Rows, calibration, thresholds and metrics are those of `python -m training.evaluate`; only the logits come from
another model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from training.config.evaluate import EvaluateOptions
from training.config.parser import parse_options

DESCRIPTION = "Evaluate a bundle on any data; the last line on stdout is one JSON object with the metrics."


@dataclass(frozen=True)
class CommandOptions(EvaluateOptions):
    """Options of `emotion evaluate`."""

    precision: Literal["fp32", "int8", "fp16"] | None = None
    """Evaluate this exported model, as it is served; the trained model, in torch, when left out."""


def main(argv: Sequence[str]) -> int:
    """Evaluate what the command line names, and print one line of JSON."""
    options, (bundle,) = parse_options(
        CommandOptions,
        argv,
        prog="emotion evaluate",
        description=DESCRIPTION,
        positionals={"bundle": "Folder of the bundle, or hf://owner/name for one on the hub."},
    )
    from emotion_classifiers.hub import local_folder  # noqa: PLC0415  (the help needs none of these)

    folder = local_folder(bundle)
    if options.precision is None:
        from training.evaluation.evaluate_bundle import evaluate_bundle  # noqa: PLC0415

        content: Mapping[str, Any] = {"precision": "torch", **evaluate_bundle(folder, options)}
    else:
        from emotion_classifiers.metrics import evaluate_served  # noqa: PLC0415
        from serving.predictor import Predictor  # noqa: PLC0415

        predictor = Predictor.load(folder, precision=options.precision, threads=options.threads)
        content = evaluate_served(predictor, options).content
    for note in content["notes"]:
        sys.stderr.write(f"note: {note}\n")
    sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")
    return 0
