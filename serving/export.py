"""Export a bundle to ONNX and verify it: `python -m serving.export BUNDLE [--precision fp32 int8 fp16]`."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.exported import FILES, check_model, check_precision, digests, read_reports
from shared.cli import CommandParser, positive, run_command, share
from shared.errors import EmotionError, VerificationError
from shared.files import replacing_folder, write_json

if TYPE_CHECKING:  # torch and onnx are loaded once the options are known to be right
    from shared.bundle import Bundle
    from shared.reference import Reference

DEFAULT_PRECISIONS = ("fp32",)


def main(arguments: Sequence[str] | None = None) -> None:
    """Export the bundle that the command line names."""
    parser = CommandParser(prog="serving.export", description=__doc__)
    parser.add_argument("bundle", type=Path, help="the bundle's folder")
    parser.add_argument(
        "--precision",
        nargs="+",
        default=DEFAULT_PRECISIONS,
        help=f"any of {', '.join(FILES)} (default: {' '.join(DEFAULT_PRECISIONS)})",
    )
    parser.add_argument(
        "--int8-flips", type=share, metavar="SHARE",
        help="int8: share of the decisions that may flip before sensitive parts stay in fp32 (default: 0.0005)",
    )  # fmt: skip
    parser.add_argument(
        "--fused-attention", action="store_true",
        help="fp16: the attention as one operator of ONNX Runtime, where the model is a DeBERTa (speed not measured)",
    )  # fmt: skip
    parser.add_argument("--threads", type=positive, help="CPU threads of the verification (default: the CPU quota's)")
    options = parser.parse_args(arguments)
    precisions = [check_precision(name) for name in options.precision]
    from shared.bundle import Bundle

    export_bundle(
        Bundle.read(options.bundle), precisions,
        threads=options.threads, int8_flips=options.int8_flips, fused_attention=options.fused_attention,
    )  # fmt: skip


def export_bundle(
    bundle: Bundle,
    precisions: Sequence[str],
    *,
    threads: int | None = None,
    int8_flips: float | None = None,
    fused_attention: bool = False,
) -> dict[str, Any]:
    """Write and verify the ONNX models of a bundle; the content of its new `verification.json`.

    The onnx folder is replaced when everything passed, and otherwise stays as it was. Models of other precisions in it
    are kept where their verification still holds.

    Args:
        bundle: of the trained model.
        precisions: any of fp32, int8, fp16.
        threads: CPU threads of the verification; what the CPU quota allows when None.
        int8_flips: share of the decisions that may flip in int8 before its most sensitive parts stay in fp32; 0.0005
            when None.
        fused_attention: whether fp16 has the attention of each layer as one operator of ONNX Runtime.

    Raises:
        ExportError: when the model cannot be exported.
        VerificationError: when a model is out of its tolerance; by how much is said.
    """
    from serving.exporting.verification import describe
    from shared.bundle import VERIFICATION

    reference = bundle.reference()
    with replacing_folder(bundle.onnx_dir) as folder:
        reports = _keep_verified(bundle, folder, without=precisions)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            source = Path(work)
            write_source(bundle, source)
            for precision in (name for name in FILES if name in precisions):
                path = folder / FILES[precision]
                reports[precision] = _export_one(
                    bundle, precision, source, path,
                    reference=reference, threads=threads, flips=int8_flips, fused=fused_attention,
                )  # fmt: skip
        content = describe(bundle, reports)
        write_json(folder / VERIFICATION, content)
    return content


def _export_one(
    bundle: Bundle,
    precision: str,
    source: Path,
    path: Path,
    *,
    reference: Reference,
    threads: int | None,
    flips: float | None,
    fused: bool,
) -> dict[str, Any]:
    """Write and verify one model; its part of `verification.json`."""
    from serving.exporting.verification import summarise, verify_model

    if precision == "int8":
        from serving.exporting.int8 import FLIP_BUDGET, export_int8

        budget = FLIP_BUDGET if flips is None else flips
        report = export_int8(bundle, source, path, reference, threads=threads, flip_budget=budget)
    else:
        _write_float(source, path, half=precision == "fp16", fused=fused)
        report = verify_model(bundle, precision, path, reference, threads=threads)
    sys.stdout.write(summarise(precision, report) + "\n")
    if not report["passed"]:
        left = f" even with {', '.join(report['left_out'])} left in fp32" if report.get("left_out") else ""
        raise VerificationError(
            f"the {precision} export of {bundle.path} failed its verification{left}, so nothing was written: "
            f"{'; '.join(report['failures'])}.",
            hint="" if precision == "fp32" else f"Leave {precision} out: --precision fp32",
        )
    return report


def _write_float(source: Path, path: Path, *, half: bool, fused: bool) -> None:
    import onnx

    from serving.exporting import onnx_models
    from serving.exporting.fp16 import convert_to_fp16
    from serving.exporting.fused_graph import fuse_attention

    model = onnx.load(source / onnx_models.GRAPH)
    if half and fused and not fuse_attention(model):
        sys.stdout.write("fp16: the attention stays as it is: only that of DeBERTa-v2 and v3 is fused\n")
    onnx_models.save(convert_to_fp16(model) if half else model, path)


def write_source(bundle: Bundle, folder: Path) -> None:
    """Write the working copy of the fp32 model: a graph of our own for DeBERTa-v2, through optimum for the others.

    Raises:
        ExportError: when the model cannot be exported.
    """
    from serving.exporting.graph import export_graph, unsupported_reason
    from serving.exporting.onnx_models import split
    from serving.exporting.optimum_export import export_with_optimum
    from shared.modeling.classifier import load_classifier

    metadata = {
        "labels": json.dumps(bundle.manifest.labels),
        "weights_sha256": bundle.weights_sha256,
        "max_length": str(bundle.manifest.max_length),
    }
    classifier = load_classifier(bundle.path, fast_attention=False)
    reason = unsupported_reason(classifier)
    if reason is None:
        model = export_graph(classifier, max_length=bundle.manifest.max_length, metadata=metadata)
    else:
        sys.stdout.write(f"exporting through optimum: {reason}\n")
        model = export_with_optimum(classifier, folder / "optimum.onnx", metadata=metadata)
    split(model, folder)


def _keep_verified(bundle: Bundle, folder: Path, without: Sequence[str]) -> dict[str, Any]:
    """Copy the models whose verification still holds into `folder`; their reports."""
    kept = {}
    try:
        reports = read_reports(bundle)
    except EmotionError:
        return {}
    for precision in reports.keys() & FILES.keys() - set(without):
        try:
            model = check_model(bundle, precision, reports)
        except VerificationError:
            continue
        for name in digests(model.path):
            shutil.copyfile(model.path.with_name(name), folder / name)
        kept[precision] = dict(model.report)
    return kept


if __name__ == "__main__":
    run_command(main)
