"""fp16 graphs: close to fp32 at every length, and in fp32 where it matters."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from serving.exporting.fp16 import convert_to_fp16
from shared.errors import ExportError
from tests.helpers import tiny_checkpoint


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    from serving.exporting.graph import export_graph
    from shared.modeling.classifier import build_classifier

    folder = tiny_checkpoint(tmp_path_factory.mktemp("tiny"), max_position_embeddings=512, position_buckets=256)
    return export_graph(
        build_classifier(folder, labels=["a", "b", "c"], pooling="cls").eval(), metadata={"labels": "x"}
    )


def session_of(model):
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def kinds_of(model):
    inferred = onnx.shape_inference.infer_shapes(model)
    return {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}


@pytest.mark.parametrize("tokens", [1, 20, 200, 350, 512])
def test_fp16_is_close_to_fp32_at_every_length(exact, tokens):
    ids = np.random.default_rng(tokens).integers(5, 60, (2, tokens))
    mask = np.ones_like(ids)
    mask[1, (tokens + 1) // 2 :] = 0
    feeds = {"input_ids": ids, "attention_mask": mask}
    wide, half = session_of(exact).run(None, feeds)[0], session_of(convert_to_fp16(exact)).run(None, feeds)[0]
    assert half.dtype == np.float32
    assert np.abs(wide - half).max() < 2e-3 * max(1, np.abs(wide).max())


def test_weights_are_to_float16(exact):
    half = convert_to_fp16(exact)
    assert half.ByteSize() < 0.6 * exact.ByteSize()
    onnx.checker.check_model(half, full_check=True)
    assert {entry.key: entry.value for entry in half.metadata_props} == {"labels": "x"}


def test_softmax_norms_mask_and_the_last_product_stay_in_fp32(exact):
    half = convert_to_fp16(exact)
    kinds = kinds_of(half)
    wide = [node for node in half.graph.node if node.op_type in ("Softmax", "LayerNormalization")]
    assert len(wide) == 7
    assert {kinds[name] for node in wide for name in (node.input[0], node.output[0])} == {TensorProto.FLOAT}
    assert kinds["mask/scores_by_head"] == kinds["layer_0/attention/masked_scores"] == TensorProto.FLOAT
    assert kinds["layer_0/attention/residual"] == TensorProto.FLOAT
    assert kinds["layer_0/attention/query"] == kinds["layer_0/attention/c2p"] == TensorProto.FLOAT16


def test_each_tensor_is_cast_once(exact):
    casts = [node for node in convert_to_fp16(exact).graph.node if node.op_type == "Cast"]
    assert len({(node.input[0], node.attribute[0].i) for node in casts}) == len(casts)


def one_node(operator, constants=(), **attributes):
    node = helper.make_node(operator, ["x", *(name for name, _ in constants)], ["y"], name="n", **attributes)
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "g", [info("x", TensorProto.FLOAT, ["n"])], [info("y", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(array, name) for name, array in constants],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def test_constants_beyond_the_range_of_fp16_are_clipped_to_it():
    from serving.exporting.fp16 import _to_float16

    assert _to_float16(np.array([-3.4e38, 1e6, 0.5])).tolist() == [-65504.0, 65504.0, 0.5]


def test_graphs_with_branches_are_refused():
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "body", [],
                             [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n"])])  # fmt: skip
    model = one_node("If", then_branch=body, else_branch=body)
    with pytest.raises(ExportError, match="a graph with If cannot be converted to fp16"):
        convert_to_fp16(model)
