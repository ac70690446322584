"""`emotion audit BUNDLE`: fairness, behaviour and robustness of a model, as trained or as served."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from training.config.evaluate import AuditOptions
from training.config.parser import parse_options

DESCRIPTION = """Audit a bundle; the last line on stdout is one JSON object.

The same sentence with another person in it, a check list of behaviours, and what noise costs; with
--data.path and --data.group_column also metrics by a column of a table."""


@dataclass(frozen=True)
class CommandOptions(AuditOptions):
    """Options of `emotion audit`."""

    precision: Literal["fp32", "int8", "fp16"] | None = None
    """Audit this exported model, as it is served; the trained model, in torch, when left out."""


def main(argv: Sequence[str]) -> int:
    """Audit what the command line names, and print one line of JSON."""
    options, (bundle,) = parse_options(
        CommandOptions, argv, prog="emotion audit", description=DESCRIPTION,
        positionals={"bundle": "Folder of the bundle, or hf://owner/name for one on the hub."},
        examples=["runs/latest/bundle --precision int8 --output audit"], environment=False,
    )  # fmt: skip
    from emotion_classifiers.hub import local_folder  # noqa: PLC0415  (the help needs none of these)
    from training.audit.audit import audit_bundle  # noqa: PLC0415

    folder, logits = local_folder(bundle), None
    if options.precision is not None:
        from serving.predictor import Predictor  # noqa: PLC0415

        logits = Predictor.load(folder, precision=options.precision, threads=options.threads).logits
    result = audit_bundle(folder, options, logits=logits)
    for row in result["flagged"]:
        sys.stderr.write(f"flagged: {row}\n")
    sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
    return 0
