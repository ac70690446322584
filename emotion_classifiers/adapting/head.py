"""The child whose last layer was refitted: it stands beside every exported model, and each is verified again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serving.exported import FILES, check_model, layer_file, model_files, read_reports
from serving.exporting.last_layer import last_layer_of, pooled_vectors, read_last_layer
from serving.exporting.verification import describe, verify_model
from serving.predictor import Predictor
from shared.bundle import VERIFICATION, Bundle
from shared.errors import ExportError, VerificationError
from shared.files import link_or_copy, write_json
from training.adapting.adapt import LayerChange
from training.adapting.child import NewLayer

if TYPE_CHECKING:
    from collections.abc import Callable


def new_layer(bundle: Bundle, change: LayerChange, threads: int | None = None) -> NewLayer:
    """The last layer with its change, and what it says of the reference rows, by the parent's fp32 model.

    Raises:
        VerificationError: when there is no verified fp32 model.
    """
    exact = Predictor.load(bundle.path, precision="fp32", provider="cpu", threads=threads)
    reference = bundle.reference()
    weight, bias = before = read_last_layer(exact.model.path)
    pooled, _ = pooled_vectors(exact, reference.texts, threads)
    after = (weight + change.weight).astype(np.float32), (bias + change.bias).astype(np.float32)
    logits = change.logits(reference.logits.astype(np.float64), pooled)
    return NewLayer(before, after, logits.astype(np.float32))


def exporter(
    parent: Bundle, layer: NewLayer, *, served: str, threads: int | None, say: Callable[[str], None]
) -> Callable[[Bundle], None]:
    """What puts the new last layer beside the parent's models, in a child, and verifies each on the reference rows.

    Args:
        parent: whose models are taken.
        layer: the last layer of the child.
        served: the precision that was adapted on, which must pass.
        threads: CPU threads.
        say: told of a precision that is left out, in a sentence.
    """

    def export(child: Bundle) -> None:
        child.onnx_dir.mkdir()
        reference, reports, found = child.reference(), read_reports(parent), {}
        for precision in (name for name in FILES if reports.get(name, {}).get("passed")):
            model = check_model(parent, precision, reports)
            path = child.onnx_dir / FILES[precision]
            try:
                last_layer_of(model.path, *layer.after, child.weights_sha256).write(path)
                for file in model_files(model.path):
                    if file != layer_file(model.path):  # the parent's, where it has one
                        link_or_copy(file, path.with_name(file.name))
                report = verify_model(child, precision, path, reference, threads=threads)
                if not report["passed"]:
                    raise VerificationError("; ".join(report["failures"]))
            except (ExportError, VerificationError) as error:
                reason = error.message.rstrip(".")
                if precision == served:
                    raise VerificationError(
                        f"the {precision} model with the new last layer cannot be served: {reason}.",
                        hint="Use the level thresholds, or adapt another precision.",
                    ) from None
                for file in model_files(path):
                    file.unlink()
                say(f"the {precision} model was left out: {reason}.")
                continue
            kept = {name: model.report[name] for name in ("left_out", "sensitivity") if name in model.report}
            found[precision] = {**kept, **report}
        write_json(child.onnx_dir / VERIFICATION, describe(child, found))

    return export
