"""A checkpoint's tokenizer as a `tokenizers.Tokenizer`, whatever files it comes with."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from shared.errors import ModelError, ModelNotFoundError
from shared.files import write_json
from shared.modeling.hub import checkpoint_file, first_line, local_only
from shared.modeling.starters import is_starter, starter_folder

logger = logging.getLogger(__name__)

__all__ = ["EXTRA_TOKENS", "from_sentencepiece", "load_tokenizer_json", "save_tokenizer"]

EXTRA_TOKENS = ("[NAME]", "[RELIGION]")

MODEL_INPUTS = ("input_ids", "attention_mask")
"""What a bundle's model is given; transformers would add token types, which DistilBERT and MPNet do not take."""

_ROLES = {  # role -> names in use, the first one found is taken
    "cls_token": ("[CLS]", "<s>", "<cls>"),
    "sep_token": ("[SEP]", "</s>", "<sep>"),
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "mask_token": ("[MASK]", "<mask>"),
}


def load_tokenizer_json(checkpoint: str | Path, *, extra_tokens: Sequence[str] = EXTRA_TOKENS) -> Tokenizer:
    """The tokenizer of a checkpoint, with no truncation or padding stored in it.

    Args:
        checkpoint: `starter`, `starter-base`, a local folder, or the name of a model on the hub.
        extra_tokens: names added as one token each where the vocabulary lacks them; () adds none.

    Raises:
        ModelNotFoundError: when no tokenizer file can be reached.
        ModelError: when its files cannot be read as a tokenizer.
    """
    source = starter_folder(checkpoint) if is_starter(checkpoint) else checkpoint
    stored, sentencepiece = checkpoint_file(source, "tokenizer.json"), checkpoint_file(source, "spm.model")
    settings = checkpoint_file(source, "tokenizer_config.json")
    options = json.loads(settings.read_text(encoding="utf-8")) if settings is not None else {}
    if stored is not None:
        tokenizer = _read(stored)
        for difference in _differences(json.loads(tokenizer.to_str()), options):
            _warn_once(f"{checkpoint}: {difference}; tokenizer.json is followed.")
    elif sentencepiece is not None:
        tokenizer = from_sentencepiece(
            sentencepiece,
            lowercase=bool(options.get("do_lower_case", False)),
            split_by_punctuation=bool(options.get("split_by_punct", False)),
        )
    else:
        tokenizer = _from_transformers(source)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    missing = [token for token in extra_tokens if tokenizer.token_to_id(token) is None]
    # lstrip: SentencePiece would make a lone space of the one in front of the token
    tokenizer.add_tokens([AddedToken(token, lstrip=True, normalized=False, special=False) for token in missing])
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, *, max_length: int, token_types: bool = False) -> None:
    """Write `tokenizer.json` and a `tokenizer_config.json` with which transformers takes it as it is.

    Args:
        tokenizer: as it is.
        folder: to write to.
        max_length: most tokens of a row.
        token_types: whether the model was trained with the types of a second segment.
    """
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    present = {role: [name for name in names if name in vocabulary] for role, names in _ROLES.items()}
    found = {role: names[0] for role, names in present.items() if names}
    # a named architecture's class replaces the normaliser in transformers 5
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": [*MODEL_INPUTS, *(["token_type_ids"] if token_types else [])],
        "split_special_tokens": True,  # in a text their names are words, as in shared.special_tokens
        **found,
    }
    write_json(folder / "tokenizer_config.json", described)


def from_sentencepiece(path: Path, *, lowercase: bool = False, split_by_punctuation: bool = False) -> Tokenizer:
    """The tokenizer of a DeBERTa-v2/v3 `spm.model`, with the normalisation stored in that file.

    The pipeline is the one of `DebertaV2Converter` in transformers 4, which version 5 no longer applies:
    https://github.com/huggingface/transformers/blob/v4.57.6/src/transformers/convert_slow_tokenizer.py

    Raises:
        ModelError: when the file is not a SentencePiece unigram model with the special tokens of DeBERTa.
    """
    from sentencepiece import sentencepiece_model_pb2  # noqa: PLC0415  (only this layout needs it)

    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    try:
        model.ParseFromString(path.read_bytes())
        if model.trainer_spec.model_type != model.trainer_spec.UNIGRAM:
            raise ValueError("it is not a unigram model")
        pieces = [(piece.piece, piece.score) for piece in model.pieces]
        tokenizer = Tokenizer(models.Unigram(pieces, unk_id=model.trainer_spec.unk_id))
    except Exception as error:  # protobuf and tokenizers raise types of their own
        raise ModelError(f"{path} is not a usable SentencePiece model: {error}.") from error
    tokenizer.normalizer = _normalizer(model.normalizer_spec.precompiled_charsmap, lowercase)
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    splitting = [pre_tokenizers.Punctuation(behavior="isolated")] if split_by_punctuation else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splitting, metaspace])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    _add_special_tokens(tokenizer, model.pieces, path)
    return tokenizer


def _normalizer(precompiled: bytes, lowercase: bool) -> normalizers.Normalizer:
    steps: list[normalizers.Normalizer] = [normalizers.Lowercase()] if lowercase else []
    steps.append(normalizers.Strip())
    if precompiled:
        steps.append(normalizers.Precompiled(precompiled))
    steps.append(normalizers.Replace(Regex(" {2,}"), " "))
    return normalizers.Sequence(steps)


def _add_special_tokens(tokenizer: Tokenizer, pieces: Any, path: Path) -> None:
    control, user_defined = 3, 4  # SentencePiece.Type in sentencepiece_model.proto
    tokenizer.add_tokens(
        [
            AddedToken(piece.piece, normalized=False, special=piece.type == control)
            for piece in pieces
            if piece.type in (control, user_defined)
        ]
    )
    required = [_ROLES[role][0] for role in ("pad_token", "cls_token", "sep_token", "unk_token")]
    absent = [token for token in required if tokenizer.token_to_id(token) is None]
    if absent:
        raise ModelError(f"{path} lacks the tokens {', '.join(absent)}, so it is not the vocabulary of a DeBERTa.")
    # [MASK] stands after the pieces in the pretrained embeddings, outside spm.model
    tokenizer.add_special_tokens([*required, _ROLES["mask_token"][0]])
    cls, sep = required[1], required[2]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
    )


def _differences(stored: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[str]:
    """What `tokenizer_config.json` says otherwise than `tokenizer.json` does, a phrase each."""
    normalisers, splitters = list(_steps(stored.get("normalizer"))), list(_steps(stored.get("pre_tokenizer")))
    bert = [step for step in normalisers if step["type"] == "BertNormalizer"]
    kinds = {step["type"] for step in normalisers}
    lowercase = "Lowercase" in kinds or any(step["lowercase"] for step in bert)
    # BERT's normaliser strips accents where it lower-cases, unless it is set
    strips = (step["lowercase"] if step["strip_accents"] is None else step["strip_accents"] for step in bert)
    does: dict[str, bool] = {"do_lower_case": lowercase, "strip_accents": "StripAccents" in kinds or any(strips)}
    prefixing = [step for step in splitters if step["type"] in ("ByteLevel", "Metaspace")]
    if prefixing:
        does["add_prefix_space"] = any(
            step.get("add_prefix_space") or step.get("prepend_scheme", "never") != "never" for step in prefixing
        )
    for name, done in does.items():
        said = options.get(name)
        if said is not None and bool(said) != done:
            yield f"tokenizer_config.json has {name} {json.dumps(said)}, tokenizer.json {json.dumps(done)}"


def _steps(part: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """The single steps of a normaliser or pre-tokenizer, sequences opened."""
    if part is None:
        return
    inner = part.get("normalizers") or part.get("pretokenizers")
    if inner is None:
        yield part
        return
    for step in inner:
        yield from _steps(step)


@functools.cache
def _warn_once(message: str) -> None:
    logger.warning("%s", message)


def _read(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise ModelError(f"{path} is not a readable tokenizer.json: {error}.") from error


def _from_transformers(checkpoint: str | Path) -> Tokenizer:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: PLC0415  (slow to import, rarely needed)

    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=local_only(checkpoint))
    except Exception as error:
        raise ModelNotFoundError(
            f"no tokenizer can be loaded for {str(checkpoint)!r}: {first_line(error)}",
            hint="A folder needs tokenizer.json, or the vocabulary files of its architecture.",
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelError(f"{checkpoint} has a {type(tokenizer).__name__}, which has no tokenizer.json form.")
    return tokenizer.backend_tokenizer
