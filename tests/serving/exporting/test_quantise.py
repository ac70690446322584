"""int8 graphs: what is quantised, what is shared, what stays."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from serving.exporting.activations import Activations
from serving.exporting.onnx_models import GRAPH, save, split
from serving.exporting.quantise import Quantiser, quantise_symmetric
from serving.runtime import open_session


def session_of(model, folder):
    save(model, folder / "out.onnx", weights_from=folder)
    return open_session(folder / "out.onnx", provider="cpu")


def model_of(nodes, constants, *, inputs, output="y"):
    infos = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
    stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    out = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", infos, [out], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def generator():
    return np.random.default_rng(0)


def products():
    rng = generator()
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["a"], name="block/first"),
        helper.make_node("MatMul", ["x", "w2"], ["b"], name="block/second"),
        helper.make_node("Add", ["a", "b"], ["c"], name="block/sum"),
        helper.make_node("MatMul", ["c", "w3"], ["y"], name="head/narrow"),
    ]
    constants = {
        "w1": rng.normal(size=(32, 64)), "b1": rng.normal(size=64), "w2": rng.normal(size=(32, 64)),
        "w3": rng.normal(size=(64, 3)),
    }  # fmt: skip
    constants = {name: array.astype(np.float32) for name, array in constants.items()}
    return model_of(nodes, constants, inputs=[("x", TensorProto.FLOAT, ["n", 32])])


def test_symmetric_values_are_half_a_step_from_the_truth_at_most():
    table = generator().normal(size=(50, 7)).astype(np.float32)
    values, scale = quantise_symmetric(table, axes=(0,))
    assert values.dtype == np.int8
    assert scale.shape == (1, 7)
    assert np.abs(values).max() == 127
    assert (np.abs(values * scale - table) <= scale / 2 * 1.0001).all()
    assert quantise_symmetric(np.zeros((4, 2), np.float32), axes=(0,))[0].tolist() == [[0, 0]] * 4


def test_products_that_read_the_same_tensor_share_its_quantisation(tmp_path):
    split(products(), tmp_path)
    graph = onnx.load(tmp_path / GRAPH, load_external_data=False)
    quantised = Quantiser(graph, tmp_path).run()
    assert Counter(node.op_type for node in quantised.graph.node) == {
        "Abs": 1, "ReduceMax": 1, "Max": 1, "Mul": 1, "QuantizeLinear": 1, "MatMulIntegerToFloat": 2, "Div": 3,
        "Add": 2, "MatMul": 1,
    }  # fmt: skip
    assert Quantiser(graph, tmp_path).units() == {"block/first": 32 * 64, "block/second": 32 * 64}
    x = generator().normal(size=(5, 32)).astype(np.float32)
    exact = ort.InferenceSession(products().SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, {"x": x}
    )[0]
    found = session_of(quantised, tmp_path).run(None, {"x": x})[0]
    assert 0 < np.abs(found - exact).max() < 0.03 * np.abs(exact).max()


def test_a_row_does_not_depend_on_the_rows_beside_it(tmp_path):
    split(products(), tmp_path)
    session = session_of(Quantiser(onnx.load(tmp_path / GRAPH, load_external_data=False), tmp_path).run(), tmp_path)
    rows = generator().normal(size=(6, 32)).astype(np.float32)
    rows[1] *= 1000
    rows[2] = 0
    together = session.run(None, {"x": rows})[0]
    alone = np.concatenate([session.run(None, {"x": row[None]})[0] for row in rows])
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-6)
    assert np.isfinite(together).all()


def normalised_product(*, gelu=False):
    rng = generator()
    scale = np.ones(64, np.float32)
    scale[[3, 40]] = 60.0
    weight = rng.normal(size=(64, 64)).astype(np.float32)
    weight[[3, 40]] /= 60.0
    nodes = [
        helper.make_node("LayerNormalization", ["x", "scale"], ["n"], name="block/norm"),
        helper.make_node("MatMul", ["n", "w"], ["m"], name="block/product"),
        helper.make_node("Gelu", ["m"], ["g"], name="block/gelu"),
        helper.make_node("MatMul", ["g", "w2"], ["y"], name="block/down"),
    ]
    constants = {"scale": scale, "w": weight, "w2": rng.normal(size=(64, 64)).astype(np.float32)}
    if not gelu:
        nodes, constants = nodes[:2], {name: constants[name] for name in ("scale", "w")}
    inputs = [("x", TensorProto.FLOAT, ["n", 64])]
    return model_of(nodes, constants, inputs=inputs, output="y" if gelu else "m")


def normalised(x, scale):
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5) * scale


def test_activation_outliers_move_into_the_weights_where_they_are_known(tmp_path):
    model = normalised_product()
    x = generator().normal(size=(40, 64)).astype(np.float32)
    exact = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    tokens = normalised(x, numpy_helper.to_array(model.graph.initializer[0])).astype(np.float32)
    split(model, tmp_path)
    graph = onnx.load(tmp_path / GRAPH, load_external_data=False)
    assert Quantiser(graph, tmp_path).sources() == ["n"]
    error = {}
    for name, known in (("plain", {}), ("smoothed", {"n": tokens})):
        found = session_of(Quantiser(graph, tmp_path, Activations(known)).run(), tmp_path).run(None, {"x": x})[0]
        error[name] = np.sqrt(np.mean((found - exact) ** 2))
    assert error["smoothed"] < error["plain"] / 5


def test_the_mean_error_on_calibration_texts_is_taken_back_by_the_bias(tmp_path):
    rng = generator()
    x = (rng.normal(size=(300, 64)) + 3).astype(np.float32)
    weight, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((64, 64), 64))
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="block/product")
    split(model_of([node], {"w": weight, "b": bias}, inputs=[("x", TensorProto.FLOAT, ["n", 64])]), tmp_path)
    graph = onnx.load(tmp_path / GRAPH, load_external_data=False)
    error = {}
    for name, known in (("plain", {}), ("corrected", {"x": x})):
        found = session_of(Quantiser(graph, tmp_path, Activations(known)).run(), tmp_path).run(None, {"x": x})[0]
        error[name] = np.abs((found - (x @ weight + bias)).mean(axis=0)).max()
    assert error["plain"] > 0.01
    assert error["corrected"] < 1e-4


def test_the_output_of_gelu_gets_its_levels_on_the_positive_side(tmp_path):
    model = normalised_product(gelu=True)
    split(model, tmp_path)
    graph = onnx.load(tmp_path / GRAPH, load_external_data=False)
    quantised = Quantiser(graph, tmp_path).run()
    down = next(node for node in quantised.graph.node if node.name == "block/down")
    assert down.input[4] == "int8/gelu_zero"
    quantised.graph.output[0].CopyFrom(helper.make_tensor_value_info("g:scaled", TensorProto.FLOAT, None))
    x = generator().normal(size=(40, 64)).astype(np.float32)
    levels = session_of(quantised, tmp_path).run(None, {"x": x})[0] + 17
    assert levels.min() > -0.5
    np.testing.assert_allclose(levels.max(axis=1), 255, atol=0.01)


def test_a_unit_left_out_is_exact(tmp_path):
    split(products(), tmp_path)
    graph = onnx.load(tmp_path / GRAPH, load_external_data=False)
    whole = Quantiser(graph, tmp_path).run(left_out=["block/first", "block/second"])
    assert [node.op_type for node in whole.graph.node] == [node.op_type for node in graph.graph.node]
    x = generator().normal(size=(5, 32)).astype(np.float32)
    exact = ort.InferenceSession(products().SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, {"x": x}
    )[0]
    np.testing.assert_array_equal(session_of(whole, tmp_path).run(None, {"x": x})[0], exact)


def test_embeddings_keep_a_scale_a_row(tmp_path):
    rng = generator()
    table = (rng.normal(size=(100, 64)) * rng.uniform(0.01, 10, size=(100, 1))).astype(np.float32)
    node = helper.make_node("Gather", ["table", "ids"], ["y"], name="embeddings/words")
    split(model_of([node], {"table": table}, inputs=[("ids", TensorProto.INT64, ["n", "t"])]), tmp_path)
    quantised = Quantiser(onnx.load(tmp_path / GRAPH, load_external_data=False), tmp_path).run()
    found = session_of(quantised, tmp_path).run(None, {"ids": np.arange(100)[None]})[0][0]
    assert (np.abs(found - table).max(axis=1) <= np.abs(table).max(axis=1) / 254 * 1.001).all()
    assert (tmp_path / "out.onnx").stat().st_size < 0.4 * table.nbytes


@pytest.mark.parametrize(("shape", "axis"), [((64, 80), 1), ((80, 1, 64), 0)])
def test_position_tables_are_sliced_in_8_bits(tmp_path, shape, axis):
    table = generator().normal(size=shape).astype(np.float32)
    node = helper.make_node("Slice", ["table", "start", "end", "axis"], ["y"], name="layer/c2p_columns")
    inputs = [("start", TensorProto.INT64, [1]), ("end", TensorProto.INT64, [1])]
    split(model_of([node], {"table": table, "axis": np.array([axis])}, inputs=inputs), tmp_path)
    quantised = Quantiser(onnx.load(tmp_path / GRAPH, load_external_data=False), tmp_path).run()
    found = session_of(quantised, tmp_path).run(None, {"start": np.array([7]), "end": np.array([30])})[0]
    expected = table.take(range(7, 30), axis=axis)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < np.abs(table).max() / 250


def test_products_with_a_stack_of_matrices_have_a_scale_a_matrix_and_column(tmp_path):
    rng = generator()
    weight = (rng.normal(size=(3, 20, 64)) * np.array([0.01, 1, 100])[:, None, None]).astype(np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="layer/values")
    model = model_of([node], {"w": weight}, inputs=[("x", TensorProto.FLOAT, [3, "n", 20])])
    split(model, tmp_path)
    quantised = Quantiser(onnx.load(tmp_path / GRAPH, load_external_data=False), tmp_path).run()
    x = rng.normal(size=(3, 6, 20)).astype(np.float32)
    found, exact = session_of(quantised, tmp_path).run(None, {"x": x})[0], x @ weight
    for part in range(3):
        assert np.abs(found[part] - exact[part]).max() < 0.03 * np.abs(exact[part]).max()


def test_products_of_activations_transposed_weights_and_small_tables_stay(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "x"], ["a"], name="u/activations"),
        helper.make_node("Gemm", ["a", "w"], ["b"], name="u/transposed", transB=1),
        helper.make_node("Gather", ["small", "ids"], ["c"], name="u/small"),
        helper.make_node("Add", ["b", "c"], ["y"], name="u/sum"),
    ]
    constants = {"w": np.ones((64, 64), np.float32), "small": np.ones((3, 64), np.float32)}
    inputs = [("x", TensorProto.FLOAT, [64, 64]), ("ids", TensorProto.INT64, [64])]
    split(model_of(nodes, constants, inputs=inputs), tmp_path)
    graph = onnx.load(tmp_path / GRAPH, load_external_data=False)
    assert Quantiser(graph, tmp_path).units() == {}
