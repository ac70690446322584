"""A copy of the model trained for a few steps on one batch, as a run would: what the checks of learning look at.

Shapes: N examples, L labels, T tokens.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import PreflightError
from shared.modeling.device import is_out_of_memory, torch_device
from shared.modeling.hub import first_line
from training.config import Config, OptimConfig
from training.data.collate import Collator
from training.loop.training_rows import TrainingRows
from training.losses.elementwise import Loss
from training.optim.optimizer import build_optimizer

STEPS = 20
"""Optimiser steps on the one batch."""
ROWS = 8
"""Rows of the batch."""
LOOKED_AT = 1024
"""Rows among which some with a label are found, where those of the batch have none."""
ROUNDING = 1e-3
"""Share of the largest logit (at least of 1) that another order of sums can move a logit by."""
LOSS_SCALE = 1024.0
"""Of fp16, in which small gradients would vanish."""
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Precisions of autocast."""


@dataclass
class Trial:
    """A copy of the model that is trained a little, without dropout, on rows spread evenly over the corpus.

    Where none of these rows has a label, half of them give way to rows with one.

    Neither the model nor any random state is changed.
    """

    model: nn.Module
    batch: dict[str, Tensor]
    loss: Loss
    optim: OptimConfig
    precision: str = "fp32"
    reached: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, model: nn.Module, rows: TrainingRows, config: Config, precision: str = "fp32") -> Trial:
        """A trial on the device and in the precision that training will use."""
        device = torch_device()
        count = min(ROWS, len(rows.train), max(2, config.optim.batch_size))
        chosen = _spread(rows.train, count)
        if not any(map(_has_label, chosen)):
            labelled = [row for row in _spread(rows.train, min(LOOKED_AT, len(rows.train))) if _has_label(row)]
            chosen = [*_spread(labelled, min(len(labelled), max(1, count // 2))), *chosen][:count]
        batch = {name: values.to(device) for name, values in Collator(rows.tokenizer)(chosen).items()}
        return cls(copy.deepcopy(model).to(device).eval(), batch, rows.loss, config.optim, precision)

    @cached_property
    def logits(self) -> Tensor:
        """Logits of the untrained model, shape (N, L)."""
        with torch.no_grad():
            return self._forward().float()

    @cached_property
    def losses(self) -> list[float]:
        """The loss before each of the steps and after the last; which weights had a gradient goes into `reached`."""
        self.logits  # noqa: B018  (of the untrained model)
        optimizer = build_optimizer(self.model, self.optim)
        rates = [group["lr"] for group in optimizer.param_groups]
        scale = LOSS_SCALE if self.precision == "fp16" else 1.0
        found = []
        for step in range(STEPS):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * min(1.0, 2 * (step + 1) / STEPS)  # a short warm-up
            optimizer.zero_grad()
            loss = self.loss_of(self._forward())
            found.append(loss.item())
            if not math.isfinite(found[-1]):
                return found
            (loss * scale).backward()  # type: ignore[no-untyped-call]
            self._note_gradients(scale)
            if self.optim.clip_norm:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.optim.clip_norm)
            optimizer.step()
        with torch.no_grad():
            found.append(float(self.loss_of(self._forward())))
        return found

    def loss_of(self, logits: Tensor) -> Tensor:
        """The loss of the batch for logits of shape (N, L)."""
        return self.loss(logits, self.batch["labels"], self.batch["known"])

    def _forward(self) -> Tensor:
        """Logits of the batch as training computes them.

        Raises:
            PreflightError: when the encoder cannot compute them.
        """
        kind, dtype = self.batch["input_ids"].device.type, HALVES.get(self.precision)
        try:
            with torch.autocast(kind, dtype=dtype, enabled=dtype is not None):
                return self.exact(self.batch["input_ids"], self.batch["attention_mask"])
        except Exception as error:  # whatever an architecture raises
            if is_out_of_memory(error):
                raise
            raise PreflightError(
                f"the encoder cannot compute a batch of {len(self.batch['input_ids'])} texts in {self.precision}: "
                f"{first_line(error)}",
                hint="Choose another encoder (docs/training.md lists those that are tested)"
                + ("." if dtype is None else ", or --optim.precision fp32."),
            ) from error

    def exact(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Logits, shape (N, L), of token ids and mask, both (N, T), in the precision around."""
        logits: Tensor = self.model(input_ids=ids, attention_mask=mask).logits
        return logits

    @property
    def padding(self) -> int:
        """Id of the padding token."""
        return int(getattr(self.model.config, "pad_token_id", None) or 0)

    @torch.no_grad()
    def moves_logits(self, names: Collection[str]) -> bool:
        """Whether the logits change when these weights do."""
        before = self.exact(self.batch["input_ids"], self.batch["attention_mask"])
        for name in names:
            self.model.get_parameter(name).add_(1.0)
        after = self.exact(self.batch["input_ids"], self.batch["attention_mask"])
        for name in names:
            self.model.get_parameter(name).sub_(1.0)
        return not torch.allclose(before, after, rtol=ROUNDING, atol=ROUNDING)

    def _note_gradients(self, scale: float) -> None:
        for name, weight in self.model.named_parameters():
            if weight.grad is not None:
                weight.grad.div_(scale)
                if name not in self.reached and bool(weight.grad.any()):
                    self.reached.add(name)


def _spread(rows: Any, count: int) -> list[Mapping[str, Any]]:
    """So many of the rows, evenly spread over them."""
    return [rows[place * len(rows) // count] for place in range(count)]


def _has_label(row: Mapping[str, Any]) -> bool:
    return bool((np.asarray(row["labels"]) * np.asarray(row["known"])).any())
