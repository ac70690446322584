"""Forward and backward passes recorded as CUDA graphs, one for each shape of a batch, and replayed in one launch.

A pass of an encoder is thousands of small kernels, and a fast GPU waits for the launch of each. A recording launches
them together. The first batch of a shape runs as it is, the second is recorded, all later ones are replayed: every
batch is trained on once, and shapes that hardly occur cost nothing. Gradients are summed in memory that stays where it
is; loss scaling, clipping, optimiser and average of the weights are outside of the recording and read it there.

A recording holds addresses and what was decided in Python: it is dropped when weights move or others are trained.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from shared.modeling.device import is_out_of_memory
from shared.modeling.hub import first_line

log = logging.getLogger("training")

Batch = Mapping[str, Tensor]
Pass = Callable[[], Tensor]
"""Forward and backward pass of a batch: adds to the gradients and returns the loss, without reading any of it."""


class Recorder(Protocol):
    """Runs a pass at once, or keeps it for later."""

    def run(self, run: Pass) -> Tensor:
        """The loss of a pass that is run now."""

    def record(self, run: Pass) -> tuple[Callable[[], object], Tensor]:
        """What runs the pass again, and where it will put its loss; nothing is run now."""


class CudaRecorder:
    """CUDA graphs (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs) that share one pool of memory."""

    def __init__(self) -> None:
        # all passes on one stream of their own: what belongs to a stream, such as workspaces, is there when recording
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self.pool = torch.cuda.graph_pool_handle()

    def run(self, run: Pass) -> Tensor:
        """The loss of a pass that is run now."""
        outside = torch.cuda.current_stream()
        self.stream.wait_stream(outside)
        with torch.cuda.stream(self.stream):
            loss = run()
        outside.wait_stream(self.stream)
        return loss

    def record(self, run: Pass) -> tuple[Callable[[], object], Tensor]:
        """What runs the pass again, and where it will put its loss; dropout is drawn anew each time.

        Raises:
            RuntimeError: when the pass does what cannot be recorded, such as waiting for a result.
        """
        random = torch.cuda.default_generators[torch.cuda.current_device()]
        state = random.get_state()
        graph = torch.cuda.CUDAGraph()
        try:
            # another thread may pin memory meanwhile, so that errors are looked for in this one alone
            with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
                loss = run()
        except BaseException:
            # a recording that was cut off leaves the generator's own state recording
            fresh = torch.Generator(random.device)
            fresh.set_state(state)
            random.graphsafe_set_state(fresh)
            raise
        return graph.replay, loss


@dataclass(frozen=True)
class _Recording:
    inputs: dict[str, Tensor]
    replay: Callable[[], object]
    loss: Tensor

    def __call__(self, batch: Batch) -> Tensor:
        for name, values in batch.items():
            self.inputs[name].copy_(values, non_blocking=True)
        self.replay()
        return self.loss.clone()


class RecordedSteps:
    """Passes of a model, recorded where they can be.

    Args:
        weights: of the model; those that are trained get their gradients.
        limit: most shapes that are recorded; further ones run as they are.
        recorder: on what.
    """

    def __init__(self, weights: Iterable[nn.Parameter], limit: int, recorder: Recorder) -> None:
        self.weights = list(weights)
        self.limit = limit
        self.recorder = recorder
        self.failure: str | None = None
        self.replayed = self.run_plain = 0
        self._recordings: dict[Hashable, _Recording] = {}
        self._seen: set[Hashable] = set()
        self._gradients: dict[nn.Parameter, Tensor] = {}
        self._trained: tuple[tuple[int, bool], ...] = ()

    def __call__(self, run: Callable[[Batch], Tensor], batch: Batch, *, constants: Hashable = None) -> Tensor:
        """The loss of a batch, a scalar of its own; gradients are added to those that are there.

        Args:
            run: computes loss and gradients of such a batch on the device, without waiting for any result.
            batch: tensors on the device.
            constants: what `run` reads beside the batch; another value is recorded anew.
        """
        self._drop_stale()
        self._restore_gradients()
        key = (constants, *((name, tuple(values.shape), values.dtype) for name, values in sorted(batch.items())))
        if key not in self._recordings and self._may_record(key):
            self._record(key, run, batch)
        if key in self._recordings:
            self.replayed += 1
            return self._recordings[key](batch)
        self.run_plain += 1
        loss = self.recorder.run(lambda: run(batch))
        for weight in self.weights:
            if weight.grad is not None:
                self._gradients.setdefault(weight, weight.grad)
        return loss

    def summary(self) -> str:
        """What was reached, for the log."""
        if self.failure is not None:
            return f"Passes ran unrecorded: {self.failure}."
        return (
            f"{len(self._recordings)} shapes were recorded as CUDA graphs, at most {self.limit} were allowed: "
            f"{self.replayed} batches were replayed, {self.run_plain} ran as they are."
        )

    def _may_record(self, key: Hashable) -> bool:
        if self.failure is not None:
            return False
        if key not in self._seen:
            if len(self._seen) == self.limit:
                log.warning(
                    "Batches of more than %d shapes: those beyond are not recorded and take longer.", self.limit
                )
            self._seen.add(key)
            return False
        return len(self._recordings) < self.limit

    def _record(self, key: Hashable, run: Callable[[Batch], Tensor], batch: Batch) -> None:
        inputs = {name: values.clone() for name, values in batch.items()}
        try:
            replay, loss = self.recorder.record(lambda: run(inputs))
        except Exception as error:  # of CUDA, of torch, or of the encoder's own code
            cause = _memory_error(error)
            if cause is not None:
                raise cause from None
            self.failure = first_line(error)
            log.warning(
                "This model's passes cannot be recorded, so training goes on WITHOUT CUDA graphs, as with "
                "optim.compile layers: %s", self.failure,
            )  # fmt: skip
            return
        self._recordings[key] = _Recording(inputs, replay, loss)

    def _drop_stale(self) -> None:
        """Forget what was recorded of weights at other addresses, or while others were trained."""
        trained = tuple((weight.data_ptr(), weight.requires_grad) for weight in self.weights)
        if trained == self._trained:
            return
        if self._trained:
            log.info("Other weights are trained: %d recordings are made anew.", len(self._recordings))
        self._trained = trained
        self._recordings.clear()
        self._seen.clear()
        self._gradients = {weight: kept for weight, kept in self._gradients.items() if weight.requires_grad}

    @torch.no_grad()
    def _restore_gradients(self) -> None:
        """Put the memory of the gradients, as zeros, where an optimiser step has taken it away."""
        empty = [weight for weight in self._gradients if weight.grad is None]
        if empty:
            torch._foreach_zero_([self._gradients[weight] for weight in empty])
        for weight in empty:
            weight.grad = self._gradients[weight]


def _memory_error(error: BaseException | None) -> BaseException | None:
    """What ran out of memory in a chain of errors; the end of a recording that was cut off hides it behind its own."""
    while error is not None and not is_out_of_memory(error):
        error = error.__cause__ or error.__context__
    return error


def reason_against(device: Any, processes: int, *, checkpointing: bool) -> str | None:
    """Why passes are not recorded as CUDA graphs, None where they are."""
    if device.type != "cuda":
        return "there is no CUDA device"
    if processes > 1:
        return f"there are {processes} processes or devices, whose gradients are exchanged within the pass"
    if checkpointing:
        return "optim.gradient_checkpointing resets the random state within the pass"
    return None
