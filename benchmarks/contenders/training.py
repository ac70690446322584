"""A whole training step, Hugging Face's attention against ours: the same weights, data, dropout and optimiser."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.contenders.model import ModelShape, random_batch, random_model
from benchmarks.measure.threads import limit_threads
from benchmarks.measure.worker import Worker
from shared.labels import GOEMOTIONS

if TYPE_CHECKING:
    from torch import Tensor, nn

STOCK, OURS = "HF eager", "ours"
PRECISIONS = ("bf16", "fp32")


@contextlib.contextmanager
def training_steps(
    shape: ModelShape, batch: int, length: int, precision: str, threads: int
) -> Iterator[dict[str, Worker]]:
    """One call a contender: forward, backward, clipping and AdamW, as transformers' Trainer does them, and ours.

    Each is a process of its own, since ours keeps the memory that a step frees, as `training.run` does, and a process
    has one allocator.

    Args:
        shape: of the network, with its usual dropout of 0.1.
        batch: N, examples a step.
        length: T, tokens of each.
        precision: bf16 (autocast) or fp32.
        threads: of torch.
    """
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(Worker(partial(_prepared, name, shape, batch, length, precision, threads)))
            for name in (STOCK, OURS)
        }


def _prepared(  # noqa: PLR0917  (`partial` keeps them in order)
    name: str, shape: ModelShape, batch: int, length: int, precision: str, threads: int
) -> Callable[[], object]:
    """The step of one contender, in the process that will make it."""
    from training.runtime.allocator import keep_freed_memory

    limit_threads(threads)
    if name == OURS:
        keep_freed_memory()
    return _step(_model(shape, name), shape, batch, length, precision, _clip(name))


def _clip(name: str) -> Callable[[Iterator[Tensor], float], Tensor]:
    import torch

    from training.optim.clipping import clip_gradients

    return clip_gradients if name == OURS else torch.nn.utils.clip_grad_norm_


def _model(shape: ModelShape, name: str) -> nn.Module:
    from shared.fast_deberta.attention import use_fast_attention

    model = random_model(shape)
    if name == OURS:
        use_fast_attention(model)
    model.train()
    return model


def _step(  # noqa: PLR0917  (what `_prepared` was given, and how it clips)
    model: nn.Module,
    shape: ModelShape,
    batch: int,
    length: int,
    precision: str,
    clip: Callable[[Iterator[Tensor], float], Tensor],
) -> Callable[[], object]:
    import torch

    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)
    rows = random_batch(batch, length, shape.vocabulary)
    inputs = {name: torch.from_numpy(values) for name, values in rows.items()}
    truth = (torch.rand(batch, len(GOEMOTIONS)) < 0.04).float()  # about the mean of a GoEmotions row

    def autocast() -> contextlib.AbstractContextManager[object]:
        return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()

    def step() -> object:
        with autocast():
            logits = model(**inputs).logits
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), truth)
        torch.autograd.backward(loss)
        clip(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    return step
