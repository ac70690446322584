"""A sealed, verified bundle in a fraction of a second: its ONNX model is a bag of random embeddings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from shared.bundle import Bundle, seal
from shared.calibration import Calibration
from shared.context import ContextFormat
from shared.files import sha256_file, write_json
from shared.labels import GOEMOTIONS
from shared.reference import Reference
from shared.thresholds import Policies
from tests.helpers import write_tiny_tokenizer

MAX_LENGTH = 48


def stand_in_bundle(
    folder: Path,
    *,
    labels: tuple[str, ...] = GOEMOTIONS,
    seed: int = 0,
    texts: Sequence[str] = ("i am happy",),
    context: ContextFormat | None = None,
) -> Path:
    """Write a bundle that the service accepts: all its files, a small ONNX model and a verification that passed."""
    write_tiny_tokenizer(folder)
    rng = np.random.default_rng(seed)
    num_labels = len(labels)
    write_json(folder / "config.json", {"id2label": {str(i): name for i, name in enumerate(labels)}})
    (folder / "model.safetensors").write_bytes(rng.bytes(64))
    Calibration("temperature", np.full(num_labels, 1.3), fitted_on="dev").write(folder / "calibration.json")
    policies = {"f1": np.linspace(0.3, 0.6, num_labels), "half": np.full(num_labels, 0.5)}
    Policies(labels, policies, "dev").write(folder / "thresholds.json")
    write_json(folder / "metrics.json", {"dev": {"macro_f1": 0.5}})
    rows = Reference(
        np.array([f"r{row}" for row in range(len(texts))]), list(texts), np.zeros((len(texts), num_labels), np.uint8),
        np.ones((len(texts), num_labels), bool), np.zeros((len(texts), num_labels), np.float32), "dev",
    )  # fmt: skip
    rows.write(folder / "reference.npz")
    bundle = seal(
        folder,
        labels=labels,
        task="multi_label",
        pooling="mean",
        max_length=MAX_LENGTH,
        head_tokens=12,
        provenance={},
        context=context,
    )
    _write_model(bundle, rng)
    return folder


def _write_model(bundle: Bundle, rng: np.random.Generator) -> None:
    from onnx import TensorProto, helper, numpy_helper, save

    bundle.onnx_dir.mkdir()
    vocabulary, width, num_labels = bundle.tokenizer().vocab_size, 8, len(bundle.manifest.labels)
    table = numpy_helper.from_array(rng.normal(size=(vocabulary, width)).astype(np.float32), "table")
    head = numpy_helper.from_array(rng.normal(size=(width, num_labels)).astype(np.float32), "head")
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    last = numpy_helper.from_array(np.array([-1], np.int64), "last")
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide_mask"]),
        helper.make_node("Mul", ["vectors", "wide_mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axes"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["wide_mask", "axes"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["pooled"]),
        helper.make_node("MatMul", ["pooled", "head"], ["logits"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", num_labels])
    graph = helper.make_graph(nodes, "stand_in", inputs, [output], [table, head, axes, last])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    metadata = {
        "labels": json.dumps(bundle.manifest.labels),
        "weights_sha256": bundle.manifest.files["model.safetensors"],
    }
    helper.set_model_props(model, metadata)
    save(model, bundle.onnx_dir / "model.onnx")
    report = {"file": "model.onnx", "sha256": sha256_file(bundle.onnx_dir / "model.onnx"), "passed": True, "rows": 1}
    verification = {
        "schema_version": 1, "bundle_seal": bundle.seal, "created": datetime.now(UTC).isoformat(),
        "versions": {}, "precisions": {"fp32": report},
    }  # fmt: skip
    write_json(bundle.onnx_dir / "verification.json", verification)
