"""Which encoders are tested from training to a verified export, which cannot be used, and what some of them need."""

from __future__ import annotations

import inspect

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.deberta.modeling_deberta import DisentangledSelfAttention

from shared.errors import ModelError

TESTED = {
    "deberta": "DeBERTa (v1)",
    "deberta-v2": "DeBERTa-v2 and v3",
    "bert": "BERT",
    "roberta": "RoBERTa",
    "xlm-roberta": "XLM-RoBERTa",
    "distilbert": "DistilBERT",
    "electra": "ELECTRA",
    "albert": "ALBERT",
    "mpnet": "MPNet",
    "modernbert": "ModernBERT",
    "big_bird": "BigBird",
}
"""`model_type` in config.json -> its name in prose: `tests/test_encoders.py` takes each of them from a training step
through bundle and export to verification, with tiny random weights."""


class MixedPrecisionAttention(DisentangledSelfAttention):
    """DeBERTa v1's attention under autocast: its biases, in float32, would make the queries float32 again.

    The scores stay in half precision, and the mask of the stock class, the least float32, does not fit into them.
    """

    def transpose_for_scores(self, x: Tensor) -> Tensor:
        """Heads apart, in the type of the products."""
        device = x.device.type
        kept: Tensor = super().transpose_for_scores(x)
        return kept.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else kept


def adapt_encoder(model: PreTrainedModel) -> None:
    """Let DeBERTa v1 train in mixed precision, and take tables of sines as the constants they are."""
    for module in model.modules():
        if type(module) is DisentangledSelfAttention:
            module.__class__ = MixedPrecisionAttention
        if "Sinusoidal" in type(module).__name__:
            module.requires_grad_(False)


def check_encoder(model: PreTrainedModel) -> None:
    """Refuse an encoder that cannot be used here.

    Raises:
        ModelError: when it has no attention mask, or no table of embeddings.
    """
    kind = model.config.model_type
    if "attention_mask" not in inspect.signature(model.base_model.forward).parameters:
        raise ModelError(
            f"{kind} encoders have no attention mask, so that a text's answer would depend on the texts beside it.",
            hint="Choose one of the encoders that docs/training.md lists.",
        )
    table = model.get_input_embeddings()
    if not isinstance(table, nn.Embedding):
        raise ModelError(
            f"{kind} encoders keep their embeddings in a {type(table).__name__}; a table of floats is needed.",
            hint="Choose one of the encoders that docs/training.md lists.",
        )
