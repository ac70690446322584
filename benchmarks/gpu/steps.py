"""Training steps on a card: Hugging Face's, ours in each way of `optim.compile`, and peers that are installed."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.contenders.models import ModelShape, random_model
from shared.fast_deberta import use_fast_attention
from shared.modeling.device import has_cuda, torch_device
from training.loop.recorded_steps import CudaRecorder, RecordedSteps
from training.model.compiled import MULTIPLE, compile_layers

HF, OURS, LAYERS, GRAPHS, BOTH = "HF eager", "ours", "ours, layers", "ours, graphs alone", "ours, graphs"
PEERS = {"DisentangledFlash": "disentangled_flash", "FlashDeBERTa": "flashdeberta"}
CONTENDERS = (HF, BOTH, GRAPHS, LAYERS, OURS, *PEERS)
Batch = dict[str, Tensor]


class Rerun:
    """Stands in for CUDA graphs where there is no card: runs the recorded pass again."""

    def run(self, run: Callable[[], Tensor]) -> Tensor:
        """The loss of a pass that is run now."""
        return run()

    def record(self, run: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        """What runs the pass again, and where it will put its loss."""
        loss = torch.zeros(())
        return lambda: loss.copy_(run()), loss


def model_of(shape: ModelShape, contender: str = HF) -> Any:
    """A classifier with random weights as a contender computes it."""
    with torch.device(torch_device()):
        model: Any = random_model(shape)
        if contender == "FlashDeBERTa":
            from flashdeberta import FlashDebertaV2ForSequenceClassification

            model = FlashDebertaV2ForSequenceClassification(model.config)
    if contender.startswith("ours"):
        use_fast_attention(model)
    if contender == "DisentangledFlash":
        from disentangled_flash import optimize_deberta_training

        optimize_deberta_training(model.deberta, backend="triton")
    return model


def batch_of(shape: ModelShape, rows: int, length: int, *, width: int = 0, seed: int = 0) -> Batch:
    """Random texts, the first of `length` tokens, the others of 0.6 to 1 of it, padded to `width`."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(max(1, int(length * 0.6)), length + 1, (rows,), generator=random)
    lengths[0] = length
    mask = (torch.arange(width or length)[None] < lengths[:, None]).long()
    ids = torch.randint(5, shape.vocabulary, mask.shape, generator=random) * mask
    labels = (torch.rand(rows, 28, generator=random) < 0.05).float()
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {name: values.to(torch_device()) for name, values in batch.items()}


class Steps:
    """Optimiser steps of one contender: autocast, loss scaling, clipping and fused AdamW, as the Trainer does them."""

    def __init__(self, shape: ModelShape, contender: str, *, lr: float = 1e-5) -> None:
        self.model = model_of(shape, contender).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=lr, fused=True)
        self.scaler = torch.amp.GradScaler(torch_device().type, init_scale=2.0**12, enabled=has_cuda())
        self.compiled = compile_layers(self.model, 512) if contender in (LAYERS, BOTH) else None
        self.recorded: RecordedSteps | None = None
        if contender in (GRAPHS, BOTH):
            self.recorded = RecordedSteps(self.model.parameters(), 64, CudaRecorder() if has_cuda() else Rerun())

    def run(self, batch: Any, *, half: bool = True) -> Tensor:
        """Loss and gradients of a batch."""
        with torch.autocast(torch_device().type, dtype=torch.float16, enabled=half and has_cuda()):
            logits = self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), batch["labels"])
        torch.autograd.backward(self.scaler.scale(loss))
        return loss.detach()

    def add(self, batch: Batch) -> Tensor:
        """The same, from a recording where the contender has one."""
        return self.run(batch) if self.recorded is None else self.recorded(self.run, batch)

    def __call__(self, batch: Batch) -> Tensor:
        """The loss of a step."""
        loss = self.add(batch)
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def gradient(self) -> Tensor:
        """Of all weights, without the loss scale."""
        scale = self.scaler.get_scale() if has_cuda() else 1.0
        return torch.cat([w.grad.flatten() for w in self.model.parameters() if w.grad is not None]) / scale

    def reached(self) -> str:
        """What fell back, if anything."""
        return " ".join(met.summary() for met in (self.compiled, self.recorded) if met is not None)


def measure_step(shape: ModelShape, contender: str, rows: int, length: int) -> dict[str, Any]:
    """Median milliseconds of a step, samples a second, peak GiB, seconds of the first steps, and what was reached."""
    started = time.perf_counter()
    steps = Steps(shape, contender)
    multiple = MULTIPLE if steps.compiled or steps.recorded else 1  # lengths as the Trainer would pad them
    batch = batch_of(shape, rows, length, width=-(-length // multiple) * multiple)
    for _ in range(4):
        loss = steps(batch)
    first = time.perf_counter() - started
    if has_cuda():
        torch.cuda.reset_peak_memory_stats()
    taken = median(_timed(lambda: steps(batch)) for _ in range(12 if has_cuda() else 2))
    gib = round(torch.cuda.max_memory_allocated() / 2**30, 2) if has_cuda() else None
    return {
        "ms": round(taken * 1e3, 2), "samples_s": round(rows / taken, 1), "gib": gib, "first_s": round(first, 1),
        "loss": round(float(loss), 4), "reached": steps.reached(),
    }  # fmt: skip


def _timed(call: Callable[[], object]) -> float:
    wait = torch.cuda.synchronize if has_cuda() else int
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start


def free() -> None:
    """Give back what the contender before has left."""
    torch._dynamo.reset()
    gc.collect()
    if has_cuda():
        torch.cuda.empty_cache()


def parity(shape: ModelShape, lengths: Iterable[int]) -> dict[str, dict[str, float]]:
    """Relative difference of the gradients from Hugging Face's in fp32, by length; without dropout."""
    made = {name: Steps(shape, name) for name in (HF, OURS, GRAPHS)}
    for steps in made.values():
        for module in steps.model.modules():
            if isinstance(getattr(module, "p", None), float):
                module.p = 0.0
    found = {}
    for length in lengths:
        batch = batch_of(shape, 4, length)
        exact = _gradient(made[HF], batch, half=False)
        gradients = {f"{name} fp32": _gradient(made[name], batch, half=False) for name in (OURS,)}
        gradients |= {f"{name} fp16": _gradient(steps, batch) for name, steps in made.items()}
        found[str(length)] = {name: float((g - exact).norm() / exact.norm()) for name, g in gradients.items()}
    return found


def _gradient(steps: Steps, batch: Batch, *, half: bool = True) -> Tensor:
    for _ in range(3 if steps.recorded else 1):  # as it is, recorded, replayed
        steps.model.zero_grad()
        steps.add(batch) if half else steps.run(batch, half=False)
    return steps.gradient().clone()


def many_steps(shape: ModelShape, contender: str, sizes: Sequence[tuple[int, int]], count: int) -> dict[str, Any]:
    """Steps over batches of several (rows, length) at a rate that learns: losses that were not finite, first, last."""
    steps, losses = Steps(shape, contender, lr=3e-5), []
    for step in range(count):
        batch = batch_of(shape, *sizes[step % len(sizes)], seed=step)
        batch["labels"] = torch.zeros_like(batch["labels"])
        batch["labels"][:, 1] = 1
        losses.append(steps(batch))
    values = torch.stack(losses)
    return {
        "steps": count, "not_finite": int((~values.isfinite()).sum()), "first": round(float(values[0]), 4),
        "last": round(float(values[-1]), 4), "scale": steps.scaler.get_scale(), "reached": steps.reached(),
    }  # fmt: skip
