"""ONNX Runtime sessions: which provider really runs, how many threads, and a memory arena that stays bounded."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort

from serving.cuda_options import CudaOptions
from serving.own_layer import OwnLayer
from serving.providers import CPU, CUDA, resolve_provider
from shared.cli import default_threads
from shared.errors import BundleFormatError

_LOG_ERRORS_ONLY = 3


def open_session(
    onnx_file: Path, *, threads: int | None = None, provider: str | None = None, cuda: CudaOptions | None = None
) -> ort.InferenceSession:
    """A session on `onnx_file`, with the last layer that lies beside it; `active_provider` of it says what really runs.

    Args:
        onnx_file: the model.
        threads: intra-op threads; what the affinity and the container's CPU quota allow when None.
        provider: cpu, cuda, or None for the best one here.
        cuda: what it may use of a CUDA device.

    Raises:
        BundleFormatError: when ONNX Runtime cannot read the file.
        ConfigError: for a provider that is unknown or not here.
    """
    wanted = resolve_provider(provider)
    if not onnx_file.is_file():
        raise BundleFormatError(f"no ONNX model at {onnx_file}.", hint=f"Write it with: {export_command(onnx_file)}")
    providers: list[tuple[str, dict[str, str]]] = [(CPU, {})]
    if wanted == CUDA:
        ort.preload_dlls()
        providers.insert(0, (CUDA, (cuda or CudaOptions()).for_provider()))
    own, opened = OwnLayer.read(onnx_file), session_options(threads)
    values = [] if own is None else own.give(opened, wanted)
    try:
        session = ort.InferenceSession(str(onnx_file), opened, providers=providers)
    except Exception as error:  # its exceptions share no base class of their own
        reason = " ".join(str(error).split())[:300]
        raise BundleFormatError(
            f"{onnx_file} cannot be loaded by ONNX Runtime: {reason}.",
            hint=f"Write it anew with: {export_command(onnx_file)}",
        ) from error
    # ONNX Runtime reads the values as long as it runs, and owns none
    setattr(session, "own_layer", (values, own and own.weights_sha256))  # noqa: B010
    return session


def layer_weights(session: ort.InferenceSession) -> str | None:
    """Which weights the last layer is of that a session was given; None where it runs that of its file."""
    found: str | None = getattr(session, "own_layer")[1]  # noqa: B009
    return found


def session_options(threads: int | None = None) -> ort.SessionOptions:
    """Options of every session: threads from the quota, no memory plan kept for each shape."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = _LOG_ERRORS_ONLY
    options.enable_mem_pattern = False  # it remembers a plan for every shape it meets, and measures no faster
    # without VNNI, sums of two 8-bit products saturate at 16 bits: another result than on the machine that verified;
    # ONNX Runtime then multiplies unsigned by unsigned, slower and exact, and elsewhere ignores this
    options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def run_options(*, graph: int = -1, shrink: bool = False) -> ort.RunOptions:
    """Options of a call.

    Args:
        graph: number of the CUDA graph that it is recorded as; it is not recorded when left out.
        shrink: whether the memory arena gives back afterwards what it does not need for the weights.
    """
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph))
    if shrink:
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def records_graphs(session: ort.InferenceSession) -> bool:
    """Whether a session records its runs as CUDA graphs."""
    return bool(session.get_provider_options().get(CUDA, {}).get("enable_cuda_graph") == "1")


def active_provider(session: ort.InferenceSession) -> str:
    """The provider a session really runs on: only the session itself knows."""
    return str(session.get_providers()[0])


def export_command(path: Path) -> str:
    """The command that writes the ONNX models of the bundle that `path`, a file in its onnx folder, belongs to."""
    return f"python -m serving.export {path.parent.parent}"
