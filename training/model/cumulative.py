"""The head of ordinal intensities while it is trained: a score a label, and cuts between the levels that rise.

When it is trained, `take_cuts` leaves the plain linear layer of the scores behind, so that the sealed network is like
any other and the cuts are read from `intensity.json`. Shapes: N examples, D inputs, L labels, K levels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import softplus
from transformers import PreTrainedModel

from shared.errors import ConfigError
from training.data.corpus import Corpus

LEAST_GAP = 0.05
"""Between two cuts at the start, in logits, where a level does not occur."""
RAREST = 1e-3
"""Share that a level has at least when the cuts are chosen."""


class CumulativeLinear(nn.Linear):
    """Logits of Y > 0, ..., Y > K-2 for each label, (N, L * (K-1)): z = w x + b, less each cut.

    The first cut is fixed, since the bias moves with it; the others are the first plus the sums of softplus(gap), so
    that they rise whatever is learnt and the probabilities of Y > k fall in k.

    Args:
        scores: the linear layer (D, L) it takes the place of.
        cuts: at the start, rising, shape (L, K-1).
    """

    def __init__(self, scores: nn.Linear, cuts: Tensor) -> None:
        super().__init__(scores.in_features, scores.out_features)
        with torch.no_grad():
            self.weight.copy_(scores.weight)
            self.bias.zero_()
        gaps = cuts.diff(dim=1).clamp(min=LEAST_GAP)
        self.first: Tensor
        self.register_buffer("first", cuts[:, :1].clone())
        inverse = gaps + torch.log(-torch.expm1(-gaps))  # of softplus
        self.gaps = nn.Parameter(inverse.flatten())  # a vector, which does not decay

    @property
    def cuts(self) -> Tensor:
        """Rising cuts of every label, shape (L, K-1)."""
        steps = softplus(self.gaps).reshape(self.out_features, -1)
        return torch.cat([self.first, self.first + steps.cumsum(dim=1)], dim=1)

    def forward(self, states: Tensor) -> Tensor:
        """Logits, shape (N, L * (K-1)), of states (N, D)."""
        scores = super().forward(states)
        return (scores.unsqueeze(-1) - self.cuts).flatten(start_dim=-2)


def starting_cuts(corpus: Corpus, num_levels: int) -> Tensor:
    """Cuts at which a score of 0 gives every level its frequency in the rows that annotate the label, (L, K-1)."""
    thresholds = (np.arange(num_levels - 1) + 0.5) / (num_levels - 1)
    found = []
    for targets, known in zip(corpus.targets.T, corpus.known.T, strict=True):
        values = targets[known]
        above = (values[:, None] > thresholds).mean(axis=0) if len(values) else np.linspace(0.9, 0.1, num_levels - 1)
        above = np.clip(above, RAREST, 1 - RAREST)
        found.append(np.log1p(-above) - np.log(above))
    return torch.from_numpy(np.array(found)).float()


def make_cumulative(model: PreTrainedModel, cuts: Tensor) -> None:
    """Put a `CumulativeLinear` in the place of the classifier's last layer.

    Raises:
        ConfigError: when the head does not end in a linear layer for L labels.
    """
    parent, name = _last_layer(model, len(cuts))
    setattr(parent, name, CumulativeLinear(getattr(parent, name), cuts))


def take_cuts(model: PreTrainedModel) -> NDArray[np.float64] | None:
    """The trained cuts, shape (L, K-1), with the plain linear layer put back; None for a model without them."""
    for parent in model.modules():
        for name, layer in parent.named_children():
            if isinstance(layer, CumulativeLinear):
                cuts: NDArray[np.float64] = layer.cuts.detach().double().cpu().numpy()
                plain = nn.Linear(layer.in_features, layer.out_features)
                plain.load_state_dict({"weight": layer.weight.detach(), "bias": layer.bias.detach()})
                setattr(parent, name, plain.to(layer.weight.device))
                return cuts
    return None


def _last_layer(model: PreTrainedModel, num_labels: int) -> tuple[nn.Module, str]:
    encoder = model.base_model_prefix
    heads = [(name, child) for name, child in model.named_children() if name != encoder]
    for name, child in reversed(heads):
        if isinstance(child, nn.Linear) and child.out_features == num_labels:
            return model, name
        for path, layer in reversed(list(child.named_modules())):
            if path and isinstance(layer, nn.Linear) and layer.out_features == num_labels:
                parent, _, last = path.rpartition(".")
                return child.get_submodule(parent), last
    raise ConfigError(
        f"the head of a {model.config.model_type} model does not end in a linear layer, which a cumulative link needs.",
        hint="Use --loss.name bce, or --model.pooling mean.",
    )
