"""ONNX Runtime's providers: which of them this machine can run."""

from __future__ import annotations

from shared.environment import cuda_device_count
from shared.errors import ConfigError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
PROVIDERS = {"cpu": CPU, "cuda": CUDA}
"""Short names of the providers that are used, best last."""


def available_provider() -> str:
    """The best provider this machine can run: CUDA where a device answers, else the CPU.

    ONNX Runtime lists CUDA wherever its GPU package is installed, so the driver itself is asked.
    """
    if cuda_device_count() == 0:
        return CPU
    import onnxruntime as ort  # noqa: PLC0415  (whoever merely asks which provider it is goes without, on most machines)

    return CUDA if CUDA in ort.get_available_providers() else CPU


def resolve_provider(name: str | None) -> str:
    """ONNX Runtime's name of a provider given by its short name, None or "auto" for the best one.

    Raises:
        ConfigError: for an unknown name, or for CUDA where no CUDA device answers.
    """
    if name is None or name == "auto":
        return available_provider()
    wanted = PROVIDERS.get(name.lower(), name)
    if wanted not in PROVIDERS.values():
        raise ConfigError(f"unknown provider '{name}'.", hint=f"Allowed: auto, {', '.join(PROVIDERS)}.")
    if wanted == CUDA and available_provider() != CUDA:
        raise ConfigError("provider 'cuda' was asked for, but no CUDA device answers here.", hint="Use cpu or auto.")
    return wanted
