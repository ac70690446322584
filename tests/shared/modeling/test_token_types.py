"""Token types of a second segment: those of the pair template, kept through saving, export and verification."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from serving import export
from serving.predictor import Predictor
from shared.bundle import Bundle, seal
from shared.context import ContextFormat, Turn, context_of, with_context
from shared.modeling.classifier import build_classifier, load_classifier
from shared.modeling.token_types import KEY, token_types, use_token_types
from shared.modeling.tokenizer_files import load_tokenizer_json, save_tokenizer
from shared.tokenizer import TextTokenizer
from tests.helpers import WORDS, optimum_or_skip, tiny_checkpoint
from tests.serving.exportable import LABELS, trained_logits, write_companions

FORM = ContextFormat(12, 2)
SEP = 2


def texts_in_context(count: int) -> list[str]:
    """Texts with up to two turns; every third has none."""
    random = np.random.default_rng(0)

    def words(most: int) -> str:
        return " ".join(random.choice(WORDS, random.integers(1, most)))

    return [with_context(words(20), [Turn(words(9)) for _ in range(row % 3)]) for row in range(count)]


def tokenizer_of(folder: Path) -> TextTokenizer:
    return TextTokenizer.from_file(folder / "tokenizer.json", max_length=32, context=FORM)


def test_types_change_behind_the_first_separator():
    ids = torch.tensor([[1, 7, SEP, 8, SEP, 9, SEP], [1, 7, 8, SEP, 0, 0, 0]])
    assert token_types(ids, SEP).tolist() == [[0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1]]


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("family", ["bert", "deberta-v2"])
def test_ids_alone_give_what_the_types_of_a_pair_give(tmp_path, family, pooling):
    checkpoint = tiny_checkpoint(tmp_path / "tiny", family=family, type_vocab_size=2)
    model = build_classifier(checkpoint, labels=LABELS, pooling=pooling).eval()
    untyped = build_classifier(checkpoint, labels=LABELS, pooling=pooling).eval()
    untyped.load_state_dict(model.state_dict())
    use_token_types(model, tokenizer_of(checkpoint).segment_separator)
    pair = load_tokenizer_json(checkpoint).encode("i am happy", "you won")
    ids, types = torch.tensor([pair.ids]), torch.tensor([pair.type_ids])
    with torch.no_grad():
        found, expected = model(input_ids=ids).logits, untyped(input_ids=ids, token_type_ids=types).logits
        assert torch.allclose(found, expected, atol=1e-6)
        assert not torch.allclose(found, untyped(input_ids=ids).logits, atol=1e-4)
        model.save_pretrained(tmp_path / "saved")
        again = load_classifier(tmp_path / "saved")
        assert torch.allclose(again(input_ids=ids).logits, expected, atol=1e-6)
        one = torch.tensor([load_tokenizer_json(checkpoint).encode("i am happy").ids])
        assert torch.equal(model(input_ids=one).logits, untyped(input_ids=one).logits)
    assert json.loads((tmp_path / "saved" / "config.json").read_text())[KEY] == SEP


@pytest.mark.parametrize("family", ["roberta", "distilbert"])
def test_an_encoder_without_types_is_left_alone(tmp_path, family):
    extra = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64} if family == "distilbert" else {}
    checkpoint = tiny_checkpoint(tmp_path / "tiny", family=family, **extra)
    model = build_classifier(checkpoint, labels=LABELS, pooling="cls")
    use_token_types(model, SEP)
    assert not hasattr(model.config, KEY)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "pooling"), [("deberta-v2", "mean"), ("deberta-v2", "cls"), ("bert", "cls")])
def test_an_export_gives_the_logits_of_rows_with_turns(tmp_path, family, pooling):
    checkpoint = tiny_checkpoint(tmp_path / "tiny", family=family, type_vocab_size=2)
    torch.manual_seed(0)
    model = build_classifier(checkpoint, labels=LABELS, pooling=pooling).eval()
    tokenizer = tokenizer_of(checkpoint)
    use_token_types(model, tokenizer.segment_separator)
    with torch.no_grad():
        model.classifier.weight.normal_(std=0.5)
    folder = tmp_path / "bundle"
    model.save_pretrained(folder)
    save_tokenizer(load_tokenizer_json(checkpoint, extra_tokens=()), folder, max_length=32, token_types=True)
    assert "token_type_ids" in json.loads((folder / "tokenizer_config.json").read_text())["model_input_names"]
    texts = texts_in_context(60)
    write_companions(folder, texts, trained_logits(load_classifier(folder), tokenizer, texts))
    seal(folder, labels=LABELS, task="multi_label", pooling=pooling, max_length=32, head_tokens=8, provenance={},
         context=FORM)  # fmt: skip
    if family != "deberta-v2":
        optimum_or_skip()
    export.main([str(folder), "--precision", "fp32", "--threads", "1"])
    bundle = Bundle.read(folder)
    reference = bundle.reference()
    assert [context_of(text) for text in reference.texts] == [context_of(text) for text in texts]
    predictor = Predictor.load(folder, threads=1)
    np.testing.assert_allclose(predictor.logits(reference.texts), reference.logits, atol=1e-4)
    alone = predictor.logits([str(text) for text in texts])
    changed = np.abs(alone - reference.logits).max(axis=1) > 1e-3
    assert changed.tolist() == [bool(context_of(text)) for text in texts]


@pytest.mark.slow
def test_a_bundle_whose_context_was_changed_is_refused_by_its_self_check(tmp_path):
    """The rows of the self-check hold turns: a model that is given others does not repeat its logits."""
    checkpoint = tiny_checkpoint(tmp_path / "tiny")
    model = build_classifier(checkpoint, labels=LABELS, pooling="mean").eval()
    with torch.no_grad():
        model.classifier.weight.normal_(std=2.0)
    tokenizer, folder, texts = tokenizer_of(checkpoint), tmp_path / "bundle", texts_in_context(60)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(checkpoint / name, folder / name)
    write_companions(folder, texts, trained_logits(load_classifier(folder), tokenizer, texts))
    options = {"labels": LABELS, "task": "multi_label", "pooling": "mean", "max_length": 32, "head_tokens": 8}
    seal(folder, **options, provenance={}, context=FORM)
    export.main([str(folder), "--precision", "fp32", "--threads", "1"])
    verification = json.loads((folder / "onnx" / "verification.json").read_text())
    (folder / "bundle.json").unlink()
    changed = seal(folder, **options, provenance={}, context=None)
    verification["bundle_seal"] = changed.seal
    (folder / "onnx" / "verification.json").write_text(json.dumps(verification))
    with pytest.raises(Exception, match="does not give on this machine the logits it was verified with"):
        Predictor.load(folder, threads=1)
