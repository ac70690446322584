"""Verify a bundle's exported models again: `python -m serving.verify BUNDLE`; exit code 0 only if all pass."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.exported import FILES
from shared.cli import CommandParser, positive, run_command
from shared.errors import BundleFormatError, VerificationError
from shared.files import write_json

if TYPE_CHECKING:  # ONNX Runtime is loaded once the options are known to be right
    from shared.bundle import Bundle


def main(arguments: Sequence[str] | None = None) -> None:
    """Verify the bundle that the command line names, and write what was found into it."""
    parser = CommandParser(prog="serving.verify", description=__doc__)
    parser.add_argument("bundle", type=Path, help="the bundle's folder")
    parser.add_argument("--threads", type=positive, help="CPU threads (default: what the CPU quota allows)")
    options = parser.parse_args(arguments)
    from shared.bundle import Bundle

    verify_bundle(Bundle.read(options.bundle), threads=options.threads)


def verify_bundle(bundle: Bundle, *, threads: int | None = None) -> dict[str, Any]:
    """Verify every exported model and write `onnx/verification.json`; its content.

    Raises:
        VerificationError: when nothing was exported, or a model is not the one exported or out of its tolerance.
    """
    from serving.exporting.verification import describe, summarise, verify_model
    from shared.bundle import VERIFICATION

    exported = [precision for precision, name in FILES.items() if (bundle.onnx_dir / name).is_file()]
    command = f"python -m serving.export {bundle.path}"
    if not exported:
        raise VerificationError(f"{bundle.path} has no exported model to verify.", hint=f"Run: {command}")
    earlier, reference = _earlier_reports(bundle), bundle.reference()
    reports = {}
    for precision in exported:
        path = bundle.onnx_dir / FILES[precision]
        report = {**earlier.get(precision, {}), **verify_model(bundle, precision, path, reference, threads=threads)}
        sealed = {name: earlier[precision][name] for name in ("sha256", "data_files") if precision in earlier}
        if any(report[name] != value for name, value in sealed.items()):
            report |= sealed  # or the next verification would take the changed file for the exported one
            report["failures"] = [f"{path.name} is not the file that was exported", *report["failures"]]
            report["passed"] = False
        reports[precision] = report
        sys.stdout.write(summarise(precision, report) + "\n")
    content = describe(bundle, reports)
    write_json(bundle.onnx_dir / VERIFICATION, content)
    failed = [precision for precision, report in reports.items() if not report["passed"]]
    if failed:
        reasons = "; ".join(f"{name}: {', '.join(reports[name]['failures'])}" for name in failed)
        raise VerificationError(
            f"{bundle.path} failed its verification: {reasons}.",
            hint=f"Export again with: {command} --precision {' '.join(failed)}",
        )
    return content


def _earlier_reports(bundle: Bundle) -> dict[str, Any]:
    """What the export, or an earlier verification, wrote of each model."""
    try:
        found = (bundle.verification() or {}).get("precisions", {})
    except BundleFormatError:
        return {}
    return found if isinstance(found, dict) else {}


if __name__ == "__main__":
    run_command(main)
