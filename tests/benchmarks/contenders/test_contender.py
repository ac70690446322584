from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.contenders.contender import Workbench, sources_key, versions_key
from benchmarks.contenders.model import TINY, padded_batch, random_batch
from benchmarks.contenders.ours_onnx import export_fp32
from benchmarks.contenders.sources import bundle_subject, cache_root, random_subject
from tests.serving.bundles import stand_in_bundle


def test_a_folder_is_prepared_once_for_a_key_and_what_older_code_made_goes(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, tmp_path)
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("content")

    first = bench.prepared("thing", "aaa", make)
    assert bench.prepared("thing", "aaa", make) == first
    assert len(made) == 1
    other = bench.prepared("thing-of-another-kind", "aaa", make)
    second = bench.prepared("thing", "bbb", make)
    assert second.is_dir()
    assert other.is_dir()
    assert not first.exists()


def test_a_preparation_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("a")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        bench.prepared("thing", "aaa", fail)
    assert list(tmp_path.iterdir()) == []


def test_keys_change_with_what_they_stand_for(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    before = sources_key(tmp_path)
    assert sources_key(tmp_path) == before
    (tmp_path / "a.py").write_text("x = 2\n")
    assert sources_key(tmp_path) != before
    assert versions_key("numpy") != versions_key("numpy", "no-such-package")


def test_batches_have_their_shape_and_padding_is_masked() -> None:
    batch = random_batch(3, 7, vocabulary=50)
    assert batch["input_ids"].shape == (3, 7)
    assert batch["attention_mask"].all()
    padded = padded_batch((2, 5), vocabulary=50)
    assert padded["attention_mask"].sum(axis=1).tolist() == [2, 5]
    assert not padded["input_ids"][0, 2:].any()


def test_a_random_model_is_saved_once_with_labels_in_its_configuration(tmp_path: Path) -> None:
    subject = random_subject(TINY, tmp_path)
    files = {file.name: file.stat().st_mtime_ns for file in subject.bench.checkpoint.iterdir()}
    assert {"config.json", "model.safetensors"} <= files.keys()
    again = random_subject(TINY, tmp_path)
    assert {file.name: file.stat().st_mtime_ns for file in again.bench.checkpoint.iterdir()} == files


def test_a_bundle_brings_its_own_exports(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    stand_in_bundle(tmp_path / "bundle")
    from shared.errors import BundleFormatError

    with pytest.raises(BundleFormatError, match="has no 'num_hidden_layers'"):
        bundle_subject(tmp_path / "bundle", tmp_path / "cache")
    bench = Workbench(tmp_path / "bundle", tmp_path / "cache", tmp_path / "bundle")
    assert export_fp32(bench) == tmp_path / "bundle" / "onnx" / "model.onnx"


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMOTION_CACHE", str(tmp_path))
    assert cache_root() == tmp_path / "benchmarks"
