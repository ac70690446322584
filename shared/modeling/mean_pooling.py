"""A classifier over the mean of an encoder's token states, for any `AutoModel` encoder."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from shared.modeling.head import HeadOptions, dropout_of, stored_head


class MeanPooler(nn.Module):
    """Masked mean of the token states, shape (N, T, D), then dropout, dense layer and activation: (N, width)."""

    def __init__(self, hidden_size: int, head: HeadOptions) -> None:
        super().__init__()
        self.width = hidden_size if head.width is None else head.width
        self.dropout = nn.Dropout(head.input_dropout)
        self.dense = None if head.activation == "none" else nn.Linear(hidden_size, self.width)
        self.activation = nn.Tanh() if head.activation == "tanh" else nn.GELU()

    def forward(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """Pooled states, shape (N, width), of `states` (N, T, D) where `attention_mask` (N, T) is not zero."""
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        pooled = self.dropout((states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0))
        return pooled if self.dense is None else self.activation(self.dense(pooled))


class MeanPoolingClassifier(PreTrainedModel):
    """An encoder, the mean of its token states, and a head of one or two layers.

    The encoder is an attribute of the name its own family uses (`deberta`, `bert`, ...), so `AutoModel` can load the
    encoder alone from a saved folder. Sentence encoders are trained with this pooling (Reimers and Gurevych 2019,
    https://arxiv.org/abs/1908.10084).

    Args:
        config: the encoder's configuration; `num_labels` and the fields of `HeadOptions` as `head_*` are read.
        encoder: taken as it is; a new one with random weights when None.
    """

    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False
    _supports_sdpa = True

    def __init__(self, config: PretrainedConfig, encoder: PreTrainedModel | None = None) -> None:
        encoder_config = copy.deepcopy(config)  # this class and the encoder's choose their attention separately
        super().__init__(config)
        self.num_labels = config.num_labels
        self.mean_pooler = MeanPooler(config.hidden_size, stored_head(config))
        self.dropout = nn.Dropout(dropout_of(stored_head(config)))
        self.classifier = nn.Linear(self.mean_pooler.width, config.num_labels)
        if encoder is None:
            encoder = AutoModel.from_config(encoder_config, **encoder_options(encoder_config))
            self._adopt(encoder)
            self.post_init()
        else:
            self.post_init()  # first, or it would overwrite the pretrained weights
            self._adopt(encoder)

    def _adopt(self, encoder: PreTrainedModel) -> None:
        self.base_model_prefix = encoder.base_model_prefix
        setattr(self, self.base_model_prefix, encoder)
        self._no_split_modules = encoder._no_split_modules

    def get_input_embeddings(self) -> nn.Module:
        """The encoder's token embeddings."""
        return getattr(self, self.base_model_prefix).get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the encoder's token embeddings."""
        getattr(self, self.base_model_prefix).set_input_embeddings(value)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **options: Any,
    ) -> SequenceClassifierOutput:
        """Logits, shape (N, L), of token ids and mask, both (N, T); a loss only when `labels` are given."""
        if attention_mask is None:
            shape = input_ids.shape if input_ids is not None else inputs_embeds.shape[:2]  # type: ignore[union-attr]
            attention_mask = torch.ones(shape, dtype=torch.long, device=self.device)
        given = {name: value for name, value in options.items() if value is not None and name != "return_dict"}
        inputs = {"input_ids": input_ids} if inputs_embeds is None else {"inputs_embeds": inputs_embeds}
        states = self.base_model(**inputs, attention_mask=attention_mask, return_dict=True, **given)
        pooled = self.mean_pooler(states.last_hidden_state, attention_mask)
        logits = self.classifier(self.dropout(pooled))
        return SequenceClassifierOutput(
            loss=None if labels is None else self._loss(logits, labels),  # type: ignore[arg-type]
            logits=logits,
            hidden_states=states.get("hidden_states"),
            attentions=states.get("attentions"),
        )

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.config.problem_type == "single_label_classification":
            return nn.functional.cross_entropy(logits.float(), labels.view(-1))
        return nn.functional.binary_cross_entropy_with_logits(logits.float(), labels.float())


def encoder_options(config: PretrainedConfig) -> dict[str, bool]:
    """Arguments that leave out a pooler the mean does not use; unused parameters stop distributed training."""
    model_class = MODEL_MAPPING[type(config)]
    classes: Any = model_class if isinstance(model_class, tuple) else (model_class,)
    accepted = all("add_pooling_layer" in inspect.signature(found).parameters for found in classes)
    return {"add_pooling_layer": False} if accepted else {}
