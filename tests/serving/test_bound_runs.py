"""Batches in fixed shapes: logits of plain runs for what fits, and a loud way back. Bound to a CPU, without graphs."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from serving import bound_runs
from serving.bound_runs import BoundRuns
from serving.cuda_options import CudaOptions
from serving.export import export_bundle
from serving.predictor import OUTPUT, Predictor
from serving.runtime import open_session, records_graphs, run_options
from shared.bundle import Bundle
from shared.errors import BundleFormatError
from tests.serving.exportable import exportable_bundle, sample_texts

SHAPES = ((1, 8), (4, 16))


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    path = exportable_bundle(tmp_path_factory.mktemp("sealed") / "bundle")
    export_bundle(Bundle.read(path), ["fp32"])
    return Predictor.load(path)


def bound_to_the_cpu(predictor):
    return BoundRuns(predictor.session, OUTPUT, len(predictor.labels), shapes=SHAPES, device="cpu")


def ones(rows, tokens):
    return {name: np.ones((rows, tokens), np.int64) for name in ("input_ids", "attention_mask")}


def test_what_fits_has_the_logits_of_a_plain_run_whatever_ran_before(predictor):
    bound = bound_to_the_cpu(predictor)
    assert bound.failure is None
    texts = sample_texts(12, seed=3)
    for count in (3, 1, 4, 2, 1):
        batch = predictor.tokenizer.pad(predictor.tokenizer.encode(texts[:count]))
        batch = {name: values[:, :16] for name, values in batch.items()}
        plain = predictor.session.run([OUTPUT], batch)[0]
        np.testing.assert_allclose(bound(batch), plain, atol=1e-5)
        texts = texts[count:]


def test_what_does_not_fit_is_left_to_a_plain_run(predictor):
    bound = bound_to_the_cpu(predictor)
    assert bound(ones(5, 4)) is None
    assert bound(ones(1, 17)) is None
    assert bound(ones(1, 9)).shape == (1, len(predictor.labels))


def test_a_predictor_replays_what_fits_and_runs_the_rest(predictor):
    texts = sample_texts(9, seed=4)
    replaying = replace(predictor, bound=bound_to_the_cpu(predictor))
    np.testing.assert_allclose(replaying.logits(texts), predictor.logits(texts), atol=1e-5)
    np.testing.assert_allclose(replaying.logits(texts[:1]), predictor.logits(texts[:1]), atol=1e-5)


def test_shapes_that_differ_are_not_replayed(predictor, monkeypatch, caplog):
    monkeypatch.setattr(bound_runs, "TOLERANCE", -1.0)
    with caplog.at_level(logging.WARNING):
        bound = bound_to_the_cpu(predictor)
    assert "NOT replayed as CUDA graphs: a batch of 1 x 8 differs by" in caplog.text
    assert bound(ones(1, 4)) is None


def test_a_model_that_onnx_runtime_cannot_record_is_served_with_plain_runs(predictor, monkeypatch, caplog):
    def refusing(path, *, threads, provider, cuda):
        if cuda.graphs:
            raise BundleFormatError("This session cannot use the graph capture feature.")
        return open_session(path, threads=threads, provider=provider, cuda=cuda)

    monkeypatch.setattr("serving.predictor.open_session", refusing)
    found = Predictor.load(predictor.bundle.path, cuda=CudaOptions(graphs=True))
    assert found.bound is None
    assert "NOT replayed as CUDA graphs: This session cannot use" in caplog.text


def test_what_a_session_may_use_of_a_device_reaches_onnx_runtime():
    assert CudaOptions(memory_mb=2048).for_provider()["gpu_mem_limit"] == "2147483648"
    assert CudaOptions(graphs=True).for_provider()["enable_cuda_graph"] == "1"
    assert CudaOptions().for_provider() == {"arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"}
    assert run_options().get_run_config_entry("gpu_graph_id") == "-1"
    assert run_options(graph=7).get_run_config_entry("gpu_graph_id") == "7"


def test_without_a_device_its_options_change_nothing(predictor):
    options = CudaOptions(memory_mb=64, graphs=True)
    assert Predictor.load(predictor.bundle.path, cuda=options).bound is None
    assert not records_graphs(open_session(predictor.model.path, provider="cpu", cuda=options))
