from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.contenders import graphs, networks
from benchmarks.contenders.contender import UnavailableError, Workbench, sources_key, versions_key
from benchmarks.contenders.lineup import by_name
from benchmarks.contenders.models import TINY, bundle_subject, padded_batch, random_batch, random_subject
from shared.errors import BundleFormatError, ConfigError
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
    with pytest.raises(BundleFormatError, match="has no 'num_hidden_layers'"):
        bundle_subject(tmp_path / "bundle", tmp_path / "cache")
    bench = Workbench(tmp_path / "bundle", tmp_path / "cache", tmp_path / "bundle")
    assert graphs.export_ours(bench) == tmp_path / "bundle" / "onnx" / "model.onnx"


def test_models_are_kept_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMOTION_CACHE", str(tmp_path))
    assert random_subject(TINY).bench.checkpoint.is_relative_to(tmp_path / "benchmarks")


def test_a_bundle_without_an_export_says_how_to_get_it(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, tmp_path, bundle=tmp_path / "bundle")
    with pytest.raises(UnavailableError, match="no int8 export: run `python -m serving.export"):
        graphs.quantise_ours(bench)


def test_half_precision_is_for_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.runtime.available_provider", lambda: "CPUExecutionProvider")
    with pytest.raises(UnavailableError, match="fp16 is for CUDA"):
        graphs.halve_ours(Workbench(tmp_path, tmp_path))


def test_openvino_is_left_out_where_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.contenders.graphs.find_spec", lambda name: None)
    contender = graphs.openvino("OpenVINO", "fp32", lambda bench: tmp_path)
    with pytest.raises(UnavailableError, match="openvino is not installed"):
        contender.prepare(Workbench(tmp_path, tmp_path))


def test_a_graph_openvino_cannot_load_is_told_with_its_reason(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no model")
    run = graphs.openvino("OpenVINO", "fp32", lambda bench: broken).open(broken, 1)
    with pytest.raises(UnavailableError, match="OpenVINO cannot load this graph"):
        run(random_batch(1, 4, 10))


def test_compiling_needs_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    with pytest.raises(UnavailableError, match="needs a C\\+\\+ compiler"):
        by_name(networks.COMPILED).prepare(Workbench(tmp_path, tmp_path))


def test_an_unknown_contender_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no contender 'theirs'.*stock int8"):
        by_name("theirs")
