"""Exported models and their verification: which precisions a bundle may serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import ConfigError, VerificationError
from shared.files import sha256_file

if TYPE_CHECKING:  # numpy is not needed to list the precisions, as `--help` does
    from shared.bundle import Bundle

FILES = {"fp32": "model.onnx", "int8": "model_int8.onnx", "fp16": "model_fp16.onnx"}
"""Precision -> its file in the bundle's onnx folder."""

SCHEMA_VERSION = 1
"""Of `verification.json`."""

_PREFERENCE = {"CUDAExecutionProvider": ("fp16", "fp32", "int8"), "CPUExecutionProvider": ("int8", "fp32", "fp16")}


@dataclass(frozen=True)
class ExportedModel:
    """One verified ONNX model of a bundle; `report` is its part of `verification.json`."""

    precision: str
    path: Path
    report: Mapping[str, Any]


def data_file(path: Path) -> Path:
    """Where the weights of a model lie that is too large for one file."""
    return path.with_name(f"{path.name}.data")


def layer_file(path: Path) -> Path:
    """Where the last layer of a model lies that has another one than its ONNX file."""
    return path.with_name(f"{path.name}.layer.npz")


def model_files(path: Path) -> list[Path]:
    """Every file of a model that is there, the ONNX file first."""
    return [file for file in (path, data_file(path), layer_file(path)) if file.is_file()]


def digests(path: Path) -> dict[str, str]:
    """Name -> sha256 of every file of a model."""
    return {file.name: sha256_file(file) for file in model_files(path)}


def check_precision(precision: str) -> str:
    """`precision` itself.

    Raises:
        ConfigError: when it is none of `FILES`.
    """
    if precision not in FILES:
        raise ConfigError(f"unknown precision '{precision}'.", hint=f"Allowed: {', '.join(FILES)}.")
    return precision


def choose_models(bundle: Bundle, *, precision: str | None = None, provider: str) -> Iterator[ExportedModel]:
    """The models that may be served, the best first: the one named, else every verified one.

    Each is checked when it is asked for: its file is read as a whole.

    Args:
        bundle: the bundle, already read and checked.
        precision: a key of `FILES`, or None for int8 on a CPU and fp16 on CUDA where verified, else fp32.
        provider: ONNX Runtime's name of the provider that will run it.

    Raises:
        ConfigError: for an unknown precision.
        VerificationError: when the bundle is unverified, its verification failed or is stale, or a model changed since.
    """
    reports = read_reports(bundle)
    if precision is not None:
        yield check_model(bundle, check_precision(precision), reports)
        return
    usable = [name for name in _PREFERENCE[provider] if reports.get(name, {}).get("passed")]
    if not usable:
        failed = ", ".join(reports) or "none"
        raise VerificationError(
            f"no exported model of {bundle.path} passed its verification (exported: {failed}).", hint=fix_hint(bundle)
        )
    for name in usable:
        yield check_model(bundle, name, reports)


def choose_model(bundle: Bundle, *, precision: str | None = None, provider: str) -> ExportedModel:
    """The first of `choose_models`."""
    return next(choose_models(bundle, precision=precision, provider=provider))


def read_reports(bundle: Bundle) -> dict[str, Any]:
    """Precision -> its part of `verification.json`.

    Raises:
        VerificationError: when there is no verification, or it belongs to another state of the bundle.
    """
    verification = bundle.verification()
    if verification is None:
        raise VerificationError(
            f"{bundle.path} is unverified: it has no onnx/verification.json.", hint=fix_hint(bundle)
        )
    version = verification.get("schema_version")
    if version != SCHEMA_VERSION:
        raise VerificationError(
            f"the verification of {bundle.path} has schema version {version!r}; this version reads {SCHEMA_VERSION}.",
            hint=fix_hint(bundle),
        )
    if verification.get("bundle_seal") != bundle.seal:
        raise VerificationError(
            f"the verification of {bundle.path} is stale: bundle.json changed after it was made.", hint=fix_hint(bundle)
        )
    reports = verification.get("precisions")
    return reports if isinstance(reports, dict) else {}


def check_model(bundle: Bundle, precision: str, reports: Mapping[str, Any]) -> ExportedModel:
    """The model of one precision, once its report and its checksums allow it.

    Raises:
        VerificationError: when it was not exported, failed, or its file changed since.
    """
    report = reports.get(precision)
    if report is None:
        exported = ", ".join(reports) or "none"
        raise VerificationError(
            f"{bundle.path} has no verified {precision} model (exported: {exported}).", hint=fix_hint(bundle, precision)
        )
    if not report.get("passed"):
        reasons = "; ".join(report.get("failures", ())) or "no reason recorded"
        raise VerificationError(
            f"the verification of the {precision} model of {bundle.path} failed: {reasons}.",
            hint=fix_hint(bundle, precision),
        )
    path = bundle.onnx_dir / FILES[precision]
    digests = {path.name: report.get("sha256"), **report.get("data_files", {})}
    if layer_file(path).is_file():  # a session would take it
        digests.setdefault(layer_file(path).name, None)
    for name, digest in digests.items():
        _check_file(bundle, precision, name, digest)
    return ExportedModel(precision, path, report)


def _check_file(bundle: Bundle, precision: str, name: str, digest: str | None) -> None:
    path = bundle.onnx_dir / name
    if not path.is_file():
        raise VerificationError(f"onnx/{name} is missing in {bundle.path}.", hint=fix_hint(bundle, precision))
    if sha256_file(path) != digest:
        raise VerificationError(
            f"onnx/{name} in {bundle.path} changed after it was verified.", hint=fix_hint(bundle, precision)
        )


def fix_hint(bundle: Bundle, precision: str | None = None) -> str:
    """The next step for whoever meets a bundle that cannot be served: the command that exports it again."""
    return f"Run: python -m serving.export {bundle.path}" + (f" --precision {precision}" if precision else "")
