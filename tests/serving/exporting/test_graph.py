"""The exported graph computes what Hugging Face's classifier computes."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

from serving.exporting.graph import export_graph, unsupported_reason
from shared.errors import ExportError
from shared.modeling.mean_pooling import MeanPoolingClassifier

LABELS = 5


def config_of(**changes):
    options = {
        "vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
        "max_position_embeddings": 64, "relative_attention": True, "position_buckets": 8, "max_relative_positions": -1,
        "share_att_key": True, "pos_att_type": "p2c|c2p", "norm_rel_ebd": "layer_norm", "position_biased_input": False,
        "type_vocab_size": 0, "num_labels": LABELS, "pooler_hidden_size": 32,
    }  # fmt: skip
    return DebertaV2Config(**{**options, **changes})


def random_model(pooling="cls", **changes):
    torch.manual_seed(0)
    config = config_of(**changes)
    model = (DebertaV2ForSequenceClassification if pooling == "cls" else MeanPoolingClassifier)(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0.0, 0.3).add_(1.0 if "LayerNorm.weight" in name else 0.0)
    return model.eval()


def session_of(model, **options):
    session_options = ort.SessionOptions()
    session_options.intra_op_num_threads = 1
    return ort.InferenceSession(
        export_graph(model, **options).SerializeToString(), session_options, providers=["CPUExecutionProvider"]
    )


def batch(rows, tokens, seed=0):
    generator = np.random.default_rng(seed)
    ids = generator.integers(3, 60, (rows, tokens))
    mask = np.ones_like(ids)
    for row in range(1, rows):
        mask[row, generator.integers(1, tokens + 1) :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def difference(model, session, feeds):
    with torch.no_grad():
        expected = model(**{name: torch.from_numpy(array) for name, array in feeds.items()}).logits.numpy()
    return np.abs(session.run(["logits"], feeds)[0] - expected).max()


VARIANTS = {
    "v3": {},
    "own position projections": {"share_att_key": False},
    "c2p alone": {"pos_att_type": "c2p"},
    "p2c alone": {"pos_att_type": "p2c"},
    "p2c alone, own projections": {"pos_att_type": "p2c", "share_att_key": False},
    "neither term": {"pos_att_type": None},
    "no relative attention": {"relative_attention": False, "position_biased_input": True},
    "no buckets": {"position_buckets": -1},
    "no buckets, short span": {"position_buckets": -1, "max_relative_positions": 16},
    "no norm of positions": {"norm_rel_ebd": "none"},
    "absolute positions and token types": {"position_biased_input": True, "type_vocab_size": 2},
    "token types without positions": {"type_vocab_size": 2},
    "narrow embeddings": {"embedding_size": 16},
    "narrow embeddings, positions and types": {
        "embedding_size": 16, "position_biased_input": True, "type_vocab_size": 2,
    },
    "convolution": {"conv_kernel_size": 3, "conv_act": "gelu"},
    "grouped convolution, one layer": {"conv_kernel_size": 3, "conv_groups": 4, "num_hidden_layers": 1},
    "one layer": {"num_hidden_layers": 1},
    "one head": {"num_attention_heads": 1},
    "tanh approximation": {"hidden_act": "gelu_new", "pooler_hidden_act": "tanh"},
    "silu and mish": {"hidden_act": "silu", "pooler_hidden_act": "mish"},
    "relu and linear": {"hidden_act": "relu", "pooler_hidden_act": "linear"},
}  # fmt: skip


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_variant_agrees_with_hugging_face(changes, pooling):
    model = random_model(pooling, **changes)
    session = session_of(model)
    for rows, tokens in ((1, 1), (2, 3), (3, 17), (2, 64)):
        assert difference(model, session, batch(rows, tokens)) < 2e-5


@pytest.mark.parametrize("head", [{"head_activation": "tanh"}, {"head_activation": "none"}, {"head_width": 7}])
def test_heads_of_mean_pooling_agree(head):
    model = random_model("mean", **head)
    assert difference(model, session_of(model), batch(3, 9)) < 2e-5


def test_all_lengths_to_512_agree_with_the_buckets_of_v3():
    model = random_model(max_position_embeddings=512, position_buckets=256, num_hidden_layers=2)
    session = session_of(model)
    for tokens in (1, 2, 31, 127, 128, 129, 130, 255, 256, 257, 300, 511, 512):
        assert difference(model, session, batch(2, tokens, seed=tokens)) < 2e-5


def test_padding_does_not_change_the_logits():
    model = random_model()
    session = session_of(model)
    feeds = batch(1, 12)
    padded = {name: np.pad(array, ((0, 0), (0, 7))) for name, array in feeds.items()}
    assert np.abs(session.run(None, feeds)[0] - session.run(None, padded)[0]).max() < 1e-6


def test_tables_are_no_longer_than_the_inputs_allowed():
    model = random_model()
    small, large = (export_graph(model, max_length=length) for length in (16, 64))
    assert difference(model, session_of(model, max_length=16), batch(2, 16)) < 2e-5
    assert small.ByteSize() < large.ByteSize()


def test_graph_is_readable():
    model = export_graph(random_model(num_hidden_layers=4), metadata={"labels": "[]"})
    onnx.checker.check_model(model, full_check=True)
    nodes = model.graph.node
    assert len(nodes) < 60 * 4
    assert {node.domain for node in nodes} == {""}
    assert sum(node.op_type in ("Shape", "Cast") for node in nodes) == 2
    assert all(list(node.output) == [node.name] for node in nodes)
    assert "layer_0/attention/content_scores" in {node.name for node in nodes}
    assert [value.name for value in model.graph.input] == ["input_ids", "attention_mask"]
    assert {entry.key: entry.value for entry in model.metadata_props} == {"labels": "[]"}


def test_no_transposed_copy_of_queries_and_keys_is_left_after_loading(tmp_path):
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    ort.InferenceSession(export_graph(random_model()).SerializeToString(), options, providers=["CPUExecutionProvider"])
    loaded = [node.name for node in onnx.load(tmp_path / "loaded.onnx").graph.node if node.op_type == "Transpose"]
    assert not [name for name in loaded if "query_by_head" in name or ("key_by_head" in name and "layer_2" not in name)]


def test_other_architectures_are_refused_with_the_reason():
    from transformers import BertConfig, BertForSequenceClassification

    bert = BertForSequenceClassification(
        BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=9)
    )
    assert unsupported_reason(bert) == "its encoder is no DeBERTa-v2 (bert)"
    with pytest.raises(ExportError, match="cannot be written as a graph: its encoder is no DeBERTa-v2"):
        export_graph(bert)


def test_an_unknown_activation_is_refused():
    assert unsupported_reason(random_model(hidden_act="quick_gelu")) == "it has the activation quick_gelu"


def test_more_tokens_than_position_embeddings_are_refused():
    with pytest.raises(ExportError, match="max_length 65 is more than the model's 64 position embeddings"):
        export_graph(random_model(position_biased_input=True), max_length=65)
