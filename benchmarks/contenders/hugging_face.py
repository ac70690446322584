"""Hugging Face's own network in PyTorch, as it is and through torch.compile; and the same with our attention."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contenders.contender import Batch, Contender, Run, UnavailableError, Workbench

if TYPE_CHECKING:
    from transformers import PreTrainedModel


EAGER, COMPILED, FAST = "HF eager", "HF torch.compile", "ours in PyTorch"
_LIBRARY = "shared.modeling.classifier"


def eager() -> Contender:
    """The network as `from_pretrained` gives it."""
    return Contender(EAGER, "fp32", _checkpoint, _open_eager, _LIBRARY)


def compiled() -> Contender:
    """`torch.compile` of it, with dynamic shapes as a service needs them."""
    return Contender(COMPILED, "fp32", _needs_compiler, _open_compiled, _LIBRARY)


def fast() -> Contender:
    """The same network with our attention, still in PyTorch."""
    return Contender(FAST, "fp32", _checkpoint, _open_fast, _LIBRARY)


def load_stock(folder: Path) -> PreTrainedModel:
    """The classifier in `folder` with Hugging Face's attention, whatever its pooling."""
    from shared.modeling.classifier import load_classifier

    model = load_classifier(folder, fast_attention=False)
    model.train(False)
    return model


def _checkpoint(bench: Workbench) -> Path:
    return bench.checkpoint


def _needs_compiler(bench: Workbench) -> Path:
    from torch.utils import cpp_extension

    compiler: str = cpp_extension.get_cxx_compiler()  # type: ignore[no-untyped-call]
    if shutil.which(compiler) is None:
        raise UnavailableError(f"torch.compile needs a C++ compiler, and there is no {compiler}")
    return bench.checkpoint


def _open_eager(folder: Path, threads: int) -> Run:
    return as_run(load_stock(folder), threads)


def _open_fast(folder: Path, threads: int) -> Run:
    from shared.fast_deberta.attention import use_fast_attention

    model = load_stock(folder)
    if use_fast_attention(model) == 0:
        raise UnavailableError("there is no fast attention for this architecture")
    return as_run(model, threads)


def _open_compiled(folder: Path, threads: int) -> Run:
    import torch

    return as_run(torch.compile(load_stock(folder), dynamic=True), threads)


def as_run(model: Any, threads: int) -> Run:
    """Call a PyTorch classifier on NumPy batches without recording gradients."""
    import torch

    torch.set_num_threads(threads)

    def run(batch: Batch) -> Any:
        ids, mask = torch.from_numpy(batch["input_ids"]), torch.from_numpy(batch["attention_mask"])
        with torch.inference_mode():
            return model(input_ids=ids, attention_mask=mask).logits.float().numpy()

    return run
