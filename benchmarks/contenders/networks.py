"""Networks in PyTorch: Hugging Face's as it is and through torch.compile, the same with our attention, and a step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contenders.contender import Batch, Contender, Run, UnavailableError
from benchmarks.contenders.models import ModelShape, random_batch, random_model
from benchmarks.measure import Worker, limit_threads
from shared.labels import GOEMOTIONS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EAGER, COMPILED, FAST = "HF eager", "HF torch.compile", "ours in PyTorch"
STEP_STOCK, STEP_OURS = EAGER, "ours"


def step_precisions() -> tuple[str, ...]:
    """Precisions a training step is measured in, the faster first: bf16 only where the processor computes in it."""
    from training.runtime.resources import BF16_FLAGS, cpu_flags

    return ("bf16", "fp32") if BF16_FLAGS & cpu_flags() else ("fp32",)


def contenders() -> list[Contender]:
    """As `from_pretrained` gives it; compiled, with dynamic shapes as a service needs them; with our attention."""
    library = "shared.modeling.classifier"
    return [
        Contender(EAGER, "fp32", lambda bench: bench.checkpoint, open_eager, library),
        Contender(COMPILED, "fp32", lambda bench: bench.checkpoint, _open_compiled, library),
        Contender(FAST, "fp32", lambda bench: bench.checkpoint, _open_fast, library),
    ]


def load_stock(folder: Path) -> PreTrainedModel:
    """The classifier in `folder` with Hugging Face's attention, whatever its pooling."""
    from shared.modeling.classifier import load_classifier

    model = load_classifier(folder, fast_attention=False)
    model.train(False)
    return model


def open_eager(folder: Path, threads: int) -> Run:
    """Hugging Face's own network, which the logits of all others are held against."""
    return _as_run(load_stock(folder), threads)


def _open_compiled(folder: Path, threads: int) -> Run:
    import torch

    return _as_run(torch.compile(load_stock(folder), dynamic=True), threads)


def _open_fast(folder: Path, threads: int) -> Run:
    from shared.fast_deberta import use_fast_attention

    model = load_stock(folder)
    if use_fast_attention(model) == 0:
        raise UnavailableError("there is no fast attention for this architecture")
    return _as_run(model, threads)


def _as_run(model: Any, threads: int) -> Run:
    import torch

    torch.set_num_threads(threads)

    def run(batch: Batch) -> Any:
        ids, mask = torch.from_numpy(batch["input_ids"]), torch.from_numpy(batch["attention_mask"])
        with torch.inference_mode():
            return model(input_ids=ids, attention_mask=mask).logits.float().numpy()

    return run


@contextlib.contextmanager
def training_steps(
    shape: ModelShape, batch: int, length: int, precision: str, threads: int
) -> Iterator[dict[str, Worker]]:
    """One call a contender: forward, backward, clipping and AdamW, as transformers' Trainer does them, and ours.

    The weights, data, dropout of 0.1 and optimiser are the same; the precision is bf16 (autocast) or fp32. Each is a
    process of its own, since ours keeps the memory that a step frees, as `training.run` does, and a process has one
    allocator.
    """
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(Worker(partial(_training_step, name, shape, batch, length, precision, threads)))
            for name in (STEP_STOCK, STEP_OURS)
        }


def _training_step(  # noqa: PLR0917  (`partial` keeps them in order)
    name: str, shape: ModelShape, batch: int, length: int, precision: str, threads: int
) -> Callable[[], object]:
    """The step of one contender, in the process that will make it."""
    import torch

    from shared.fast_deberta import use_fast_attention
    from training.optim.optimizer import clip_gradients
    from training.runtime.resources import keep_freed_memory

    limit_threads(threads)
    model: Any = random_model(shape)
    clip: Callable[..., object] = torch.nn.utils.clip_grad_norm_
    if name == STEP_OURS:
        keep_freed_memory()
        use_fast_attention(model)
        clip = clip_gradients
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)
    inputs = {key: torch.from_numpy(values) for key, values in random_batch(batch, length, shape.vocabulary).items()}
    truth = (torch.rand(batch, len(GOEMOTIONS)) < 0.04).float()  # about the mean of a GoEmotions row

    def step() -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = model(**inputs).logits
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), truth)
        torch.autograd.backward(loss)
        clip(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    return step
