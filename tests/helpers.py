"""Tiny random models and tokenizers, made in process: no network, a fraction of a second."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

_VOCABULARY = """i you we they it the a my your our this that is was am are be been feel felt happy sad angry glad proud
afraid worried calm tired love hate like miss thank thanks sorry so very too not never always today tomorrow yesterday
night morning work school home family friend friends mother father sister dog cat food rain sun train bus day week job
news music game good bad great awful nice new old lost found won failed passed and but because when if with for to of
in on at about from wonderful terrible scared nervous excited bored curious confused surprised relieved grateful
ashamed . , ! ? ' ’"""
WORDS = _VOCABULARY.split()


def write_tiny_tokenizer(folder: Path) -> Path:
    """Write `tokenizer.json` (WordPiece over a few words and all letters) and `tokenizer_config.json`."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789")
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    vocabulary = list(dict.fromkeys([*special, *letters, *(f"##{letter}" for letter in letters), *WORDS]))
    model = models.WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.add_special_tokens(special)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]",
        "unk_token": "[UNK]", "mask_token": "[MASK]", "model_max_length": 512,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(described, indent=2), encoding="utf-8")
    return folder


def tiny_checkpoint(
    folder: Path,
    *,
    family: str = "deberta-v2",
    seed: int = 0,
    hidden_size: int = 32,
    num_layers: int = 2,
    num_heads: int = 2,
    **config: object,
) -> Path:
    """Write a random encoder checkpoint (`AutoModel` layout) with its tokenizer into `folder`.

    Args:
        folder: made if missing; returned.
        family: `deberta-v2` (the layout of DeBERTa-v3), `bert` or `roberta`.
        seed: of the random weights.
        config: further fields of the encoder's configuration.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    write_tiny_tokenizer(folder)
    vocab_size = len(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])
    fields: dict[str, object] = {
        "vocab_size": vocab_size, "hidden_size": hidden_size, "num_hidden_layers": num_layers,
        "num_attention_heads": num_heads, "intermediate_size": 2 * hidden_size, "max_position_embeddings": 128,
        "type_vocab_size": 0 if family == "deberta-v2" else 1, "pad_token_id": 0,
    }  # fmt: skip
    if family == "deberta-v2":
        fields |= {
            "relative_attention": True, "position_buckets": 32, "max_relative_positions": -1, "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "norm_rel_ebd": "layer_norm",
            "pooler_hidden_size": hidden_size, "pooler_hidden_act": "gelu", "pooler_dropout": 0,
        }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModel.from_config(AutoConfig.for_model(family, **{**fields, **config}))
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2:  # larger than the usual 0.02, so that outputs vary with the input
                torch.nn.init.normal_(parameter, std=0.1 if "embeddings" not in name else 0.5)
        model.save_pretrained(folder)
    return folder


def optimum_or_skip() -> None:
    """Skip what follows where optimum is not installed, as beside transformers 5, for which it has no release."""
    pytest.importorskip("optimum.exporters.onnx", reason="optimum, which exports what is tested here, is not installed")
