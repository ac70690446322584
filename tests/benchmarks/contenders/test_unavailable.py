from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.contenders import hugging_face, openvino, ours_onnx
from benchmarks.contenders.contender import UnavailableError, Workbench


def test_a_bundle_without_an_export_says_how_to_get_it(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, tmp_path, bundle=tmp_path / "bundle")
    with pytest.raises(UnavailableError, match="no int8 export: run `python -m serving.export"):
        ours_onnx.quantise_ours(bench)


def test_half_precision_is_for_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.runtime.available_provider", lambda: "CPUExecutionProvider")
    with pytest.raises(UnavailableError, match="fp16 is for CUDA"):
        ours_onnx.fp16().prepare(Workbench(tmp_path, tmp_path))


def test_openvino_is_left_out_where_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.contenders.openvino.find_spec", lambda name: None)
    contender = openvino.on_graph("OpenVINO", "fp32", lambda bench: tmp_path)
    with pytest.raises(UnavailableError, match="openvino is not installed"):
        contender.prepare(Workbench(tmp_path, tmp_path))


def test_a_graph_openvino_cannot_load_is_told_with_its_reason(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no model")
    run = openvino.on_graph("OpenVINO", "fp32", lambda bench: broken).open(broken, 1)
    from benchmarks.contenders.model import random_batch

    with pytest.raises(UnavailableError, match="OpenVINO cannot load this graph"):
        run(random_batch(1, 4, 10))


def test_compiling_needs_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    with pytest.raises(UnavailableError, match="needs a C\\+\\+ compiler"):
        hugging_face.compiled().prepare(Workbench(tmp_path, tmp_path))
