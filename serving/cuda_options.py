"""What a model process may use of a CUDA device; loads nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CudaOptions:
    """What a session may use of a CUDA device.

    Attributes:
        memory_mb: most memory of its arena, weights included, in MiB; no limit when None.
        graphs: whether runs can be recorded and replayed; those that are not must say so (`run_options`).
    """

    memory_mb: int | None = None
    graphs: bool = False

    def for_provider(self) -> dict[str, str]:
        """Options of ONNX Runtime's CUDA provider."""
        # TF32 would round fp32 products to eleven bits; an arena that doubles would outgrow a shared card
        options = {"arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"}
        if self.memory_mb is not None:
            options["gpu_mem_limit"] = str(self.memory_mb * 2**20)
        return options | ({"enable_cuda_graph": "1"} if self.graphs else {})
