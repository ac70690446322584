"""Models on disk: one file where protocol buffers allow it, else the weights beside the graph."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from serving.exporting import onnx_models
from serving.exporting.onnx_models import GraphBuilder, save, stored_bytes

FREE_GB = 9
"""Main memory that a model above 2 GiB needs here: three copies of 2.2 GB, and then some."""


def sum_of_tables(tables):
    """y = the sum of x @ table over all tables (D, C)."""
    constants = [numpy_helper.from_array(table, f"table{i}") for i, table in enumerate(tables)]
    nodes = [helper.make_node("MatMul", ["x", f"table{i}"], [f"y{i}"]) for i in range(len(tables))]
    nodes.append(helper.make_node("Sum", [f"y{i}" for i in range(len(tables))], ["y"]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", tables[0].shape[0]])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], constants), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )


def session_on(path):
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"])


def small_tables():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(32, 40)).astype(np.float32) for _ in range(2)]


def test_the_size_is_what_the_file_takes_up_to_the_names(tmp_path):
    model = sum_of_tables(small_tables())
    onnx.save(model, tmp_path / "model.onnx")
    assert stored_bytes(model) == pytest.approx((tmp_path / "model.onnx").stat().st_size, abs=300)


def test_models_too_large_for_one_file_keep_their_weights_beside_it(tmp_path, monkeypatch):
    tables = small_tables()
    monkeypatch.setattr(onnx_models, "MAX_FILE_BYTES", 2 * tables[0].nbytes)  # the nodes are what is too much
    save(sum_of_tables(tables), tmp_path / "model.onnx")
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["model.onnx", "model.onnx.data"]
    x = np.eye(32, dtype=np.float32)
    found = session_on(tmp_path / "model.onnx").run(None, {"x": x})[0]
    np.testing.assert_allclose(found, tables[0] + tables[1], rtol=1e-6)


def available_bytes():
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


@pytest.mark.slow
def test_weights_that_pass_2_gib_are_saved_and_run(tmp_path):
    import shutil

    if available_bytes() < FREE_GB * 1e9 or shutil.disk_usage(tmp_path).free < 4e9:
        pytest.skip(f"needs {FREE_GB} GB of free memory and 4 GB of disk")
    rows, columns = 100_000, 2700
    model = sum_of_tables([np.zeros((rows, 1), np.float32)] * 2)
    for tensor, row, value in zip(model.graph.initializer, (7, rows - 1), (2.5, 4.0), strict=True):
        table = np.zeros((rows, columns), np.float32)  # 1.1 GB, which need no memory but for one page
        table[row, 5] = value
        tensor.dims[1] = columns
        tensor.raw_data = table.tobytes()
    assert stored_bytes(model) > 2**31
    save(model, tmp_path / "model.onnx")
    del model
    assert (tmp_path / "model.onnx").stat().st_size < 10_000
    assert (tmp_path / "model.onnx.data").stat().st_size > 2**31
    x = np.zeros((1, 100_000), np.float32)
    x[0, [7, 99_999]] = 1.0, 10.0
    found = session_on(tmp_path / "model.onnx").run(None, {"x": x})[0]
    assert found[0, 5] == 42.5
    assert np.count_nonzero(found) == 1
    for path in tmp_path.iterdir():
        path.unlink()  # pytest keeps the folders of the last runs


def test_a_graph_refuses_a_name_that_is_taken():
    graph = GraphBuilder()
    with graph.scope("layer"):
        graph.constant("weight", [1.0])
        with pytest.raises(ValueError, match="already has a node or constant called layer/weight"):
            graph.constant("weight", [2.0])
