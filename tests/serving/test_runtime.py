"""Sessions tell which provider really runs, and follow the CPU quota."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from serving import providers, runtime
from serving.providers import CPU, CUDA, available_provider, resolve_provider
from serving.runtime import active_provider, open_session
from shared.errors import BundleFormatError, ConfigError


@pytest.fixture
def model(tmp_path):
    info = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n"])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [info], [onnx.helper.make_tensor_value_info("y", 1, ["n"])])
    path = tmp_path / "bundle" / "onnx" / "model.onnx"
    path.parent.mkdir(parents=True)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9), path)
    return path


def test_a_session_runs_on_the_provider_it_says(model):
    session = open_session(model, threads=1, provider="cpu")
    assert active_provider(session) == CPU
    assert session.run(None, {"x": np.array([-1.0, 2.0], np.float32)})[0].tolist() == [0.0, 2.0]


def test_threads_follow_the_quota_unless_given(model, monkeypatch):
    monkeypatch.setattr(runtime, "default_threads", lambda: 3)
    assert open_session(model).get_session_options().intra_op_num_threads == 3
    assert open_session(model, threads=2).get_session_options().intra_op_num_threads == 2


def test_cuda_is_believed_only_when_a_device_answers(monkeypatch):
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(providers, "cuda_device_count", lambda: 0)
    assert available_provider() == CPU
    with pytest.raises(ConfigError, match="'cuda' was asked for, but no CUDA device answers here. Use cpu or auto."):
        resolve_provider("cuda")
    monkeypatch.setattr(providers, "cuda_device_count", lambda: 1)
    assert available_provider() == CUDA
    assert resolve_provider("auto") == CUDA
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CPU])
    assert available_provider() == CPU


def test_an_unknown_provider_is_refused():
    with pytest.raises(ConfigError, match=r"unknown provider 'tpu'. Allowed: auto, cpu, cuda."):
        resolve_provider("tpu")


def test_a_missing_model_says_how_to_write_it(tmp_path):
    with pytest.raises(BundleFormatError, match=r"no ONNX model at .* Write it with: python -m serving.export .*/b$"):
        open_session(tmp_path / "b" / "onnx" / "model.onnx")


def test_a_broken_model_says_how_to_write_it_anew(model):
    model.write_bytes(model.read_bytes()[:-20])
    with pytest.raises(BundleFormatError, match="cannot be loaded by ONNX Runtime: .* Write it anew with: python -m"):
        open_session(model, provider="cpu")
