"""Fused attention: the function of the plain graph, in fp32 and fp16, at every length and kind of position."""

import copy

import numpy as np
import onnx
import pytest

from serving.exporting.fp16 import convert_to_fp16
from serving.exporting.fused_graph import fuse_attention
from serving.exporting.graph import export_graph
from shared.modeling.classifier import build_classifier
from tests.helpers import tiny_checkpoint
from tests.serving.exporting.test_fp16 import session_of


def graph_of(folder, pooling="mean", **config):
    checkpoint = tiny_checkpoint(folder, max_position_embeddings=512, position_buckets=256, **config)
    return export_graph(build_classifier(checkpoint, labels=["a", "b", "c"], pooling=pooling).eval())


def feeds_of(tokens):
    ids = np.random.default_rng(tokens).integers(5, 60, (3, tokens))
    mask = np.ones_like(ids)
    mask[1, (tokens + 1) // 2 :] = 0
    mask[2, 1:] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize(
    ("pooling", "config", "layers"),
    [
        ("mean", {}, 2),
        ("cls", {}, 1),  # the last layer is computed for the first token alone
        ("mean", {"pos_att_type": ["c2p"]}, 2),
        ("mean", {"pos_att_type": ["p2c"], "num_heads": 4}, 2),
        ("mean", {"relative_attention": False, "position_biased_input": True, "pos_att_type": []}, 0),
    ],
)
def test_the_function_is_the_same(tmp_path, pooling, config, layers):
    plain = graph_of(tmp_path, pooling, **config)
    fused = copy.deepcopy(plain)
    assert fuse_attention(fused) == layers
    assert sum(node.op_type == "MultiHeadAttention" for node in fused.graph.node) == layers
    onnx.checker.check_model(fused)
    sessions = session_of(plain), session_of(fused)
    for tokens in (1, 2, 7, 64, 300):
        exact, found = (session.run(None, feeds_of(tokens))[0] for session in sessions)
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 20, 350])
def test_in_fp16_it_is_close_to_fp32_with_fewer_operators(tmp_path, tokens):
    plain = graph_of(tmp_path)
    fused = copy.deepcopy(plain)
    fuse_attention(fused)
    half, other = convert_to_fp16(fused), convert_to_fp16(plain)
    assert len(half.graph.node) < len(other.graph.node)
    exact, found = (session_of(model).run(None, feeds_of(tokens))[0] for model in (plain, half))
    assert np.abs(exact - found).max() < 5e-3 * max(1, np.abs(exact).max())
