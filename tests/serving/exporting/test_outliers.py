"""Outlier units of a feed-forward: found, set apart, in a graph that computes the same."""

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from serving.exporting.activations import Activations
from serving.exporting.onnx_models import GRAPH, split
from serving.exporting.outliers import find_outliers, separate_outliers
from serving.exporting.quantise import Quantiser
from tests.serving.exporting.test_quantise import model_of, session_of

LOUD = [3, 70]
"""Units whose values, for one token in ten, are far above those of all others."""


def feed_forward():
    rng = np.random.default_rng(0)
    up, bias = 0.2 * rng.normal(size=(32, 96)), rng.normal(size=96)
    up[0, LOUD] = 40.0
    nodes = [
        helper.make_node("Gemm", ["x", "up", "up_bias"], ["u"], name="layer/up"),
        helper.make_node("Gelu", ["u"], ["g"], name="layer/gelu"),
        helper.make_node("Gemm", ["g", "down", "down_bias"], ["y"], name="layer/down"),
    ]
    constants = {"up": up, "up_bias": bias, "down": rng.normal(size=(96, 64)), "down_bias": rng.normal(size=64)}
    constants = {name: array.astype(np.float32) for name, array in constants.items()}
    return model_of(nodes, constants, inputs=[("x", TensorProto.FLOAT, ["n", 32])])


def test_units_are_outliers_where_the_largest_is_twice_the_bulk():
    largest = np.linspace(1.0, 1.5, 40)
    assert find_outliers(largest).tolist() == []
    largest[5] = 4.0
    found = find_outliers(largest)
    assert 5 in found
    assert len(found) == 8
    assert find_outliers(largest[:10]).tolist() == []


def test_the_function_stays_the_same_and_int8_comes_closer(tmp_path):
    x = np.random.default_rng(1).normal(size=(200, 32)).astype(np.float32)
    x[:, 0] = np.where(np.arange(200) % 10 == 0, 1.0, 0.0)
    session = ort.InferenceSession(feed_forward().SerializeToString(), providers=["CPUExecutionProvider"])
    exact = session.run(None, {"x": x})[0]
    observed = feed_forward()
    observed.graph.output.append(helper.make_tensor_value_info("g", TensorProto.FLOAT, None))
    hidden = ort.InferenceSession(observed.SerializeToString(), providers=["CPUExecutionProvider"])
    tokens = {"x": x, "g": hidden.run(["g"], {"x": x})[0]}
    split(feed_forward(), tmp_path)
    graph = onnx.load(tmp_path / GRAPH, load_external_data=False)

    def error(activations):
        found = session_of(Quantiser(graph, tmp_path, activations).run(), tmp_path).run(None, {"x": x})[0]
        return np.sqrt(np.mean((found - exact) ** 2))

    before = error(Activations(tokens))
    left = separate_outliers(graph, tmp_path, tokens)
    assert left["g"].shape == (200, 88)
    assert left["g"].max() < tokens["g"].max() / 4
    units = Quantiser(graph, tmp_path).units()
    assert list(units) == ["layer/up", "layer/down"]
    fp32 = session_of(Quantiser(graph, tmp_path).run(left_out=units), tmp_path).run(None, {"x": x})[0]
    np.testing.assert_allclose(fp32, exact, rtol=1e-4, atol=1e-4)
    assert error(Activations(left)) < before / 2


def test_a_layer_without_outliers_stays_as_it_is(tmp_path):
    split(feed_forward(), tmp_path)
    graph = onnx.load(tmp_path / GRAPH, load_external_data=False)
    nodes = list(graph.graph.node)
    tokens = {"g": np.ones((5, 96), np.float32)}
    assert separate_outliers(graph, tmp_path, tokens)["g"] is tokens["g"]
    assert list(graph.graph.node) == nodes
