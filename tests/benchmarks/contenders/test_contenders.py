from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser
import pytest

from benchmarks.contenders import graphs
from benchmarks.contenders.contender import UnavailableError, Workbench
from benchmarks.contenders.models import bundle_subject, padded_batch, random_batch
from shared.bundle import Bundle
from tests.serving.bundles import stand_in_bundle


def test_a_folder_is_prepared_once_and_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, tmp_path / "made")
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("content")
        if len(made) == 1:
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        bench.prepared("thing", make)
    assert not (tmp_path / "made" / "thing").exists()
    assert bench.prepared("thing", make) == bench.prepared("thing", make) == tmp_path / "made" / "thing"
    assert len(made) == 2


def test_batches_have_their_shape_and_padding_is_masked() -> None:
    batch = random_batch(3, 7, vocabulary=50)
    assert batch["input_ids"].shape == (3, 7)
    assert batch["attention_mask"].all()
    padded = padded_batch((2, 5), vocabulary=50)
    assert padded["attention_mask"].sum(axis=1).tolist() == [2, 5]
    assert not padded["input_ids"][0, 2:].any()


def test_a_bundle_brings_its_own_exports(tmp_path: Path) -> None:
    bundle = stand_in_bundle(tmp_path / "bundle")
    subject = bundle_subject(bundle, tmp_path / "made")
    assert graphs.export_ours(subject.bench) == bundle / "onnx" / "model.onnx"
    assert subject.vocabulary == Bundle.read(bundle).tokenizer().vocab_size


def test_a_bundle_without_an_export_says_how_to_get_it(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, tmp_path, bundle=tmp_path / "bundle")
    with pytest.raises(UnavailableError, match="no int8 export: run `python -m serving.export"):
        graphs.quantise_ours(bench)


@pytest.mark.parametrize("with_types", [False, True])
def test_a_stock_export_is_fed_token_types_where_it_asks_for_them(tmp_path: Path, with_types: bool) -> None:
    inputs = ["input_ids", "attention_mask", *(["token_type_ids"] if with_types else [])]
    body = "total = Add(some, token_type_ids)" if with_types else "total = Identity(some)"
    graph = onnx.parser.parse_graph(
        f"adding ({', '.join(f'int64[N, T] {name}' for name in inputs)}) => (int64[N, T] total)"
        f"{{ some = Add(input_ids, attention_mask) {body} }}"
    )
    file = tmp_path / "model.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), file)
    batch = random_batch(2, 3, vocabulary=50)
    assert (graphs.open_stock(file, 1)(batch) == batch["input_ids"] + 1).all()
