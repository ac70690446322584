"""Rows of the source that a bundle was trained on: the splits of its training, however they are asked for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml

from shared.errors import DataNotFoundError
from shared.labels import LabelSet
from shared.task import Task
from training.config.evaluate import EvaluationData
from training.config.parser import load as load_config
from training.data.load import load_data
from training.evaluation.own_data import rows_to_score

LABELS = LabelSet(("anger", "fear", "joy"))


@pytest.fixture
def table(tmp_path):
    """300 texts with one label each, the first of them a second time with another label."""
    rows = [f"sentence number {i},{LABELS.names[i % 3]}" for i in range(300)]
    path = tmp_path / "one.csv"
    path.write_text("\n".join(["text,label", *rows, "sentence number 0,joy\n"]))
    return path


def trained(folder, table, **options):
    """What a bundle says of the data of its training, and the splits of it."""
    config = load_config(None, {"data.source": "table", "data.path": str(table), **options})
    single_label = config.loss.task == "single_label"
    splits = load_data(config.data, single_label=single_label)
    folder.mkdir()
    (folder / "training.yaml").write_text(yaml.safe_dump(config.to_dict()))
    sources = [{"kind": "table", "origin": table.name, "files": []}]
    provenance = {"data": {"fingerprint": splits.fingerprint, "sources": sources}}
    bundle = SimpleNamespace(
        path=folder, label_set=LABELS, task=Task.SINGLE_LABEL if single_label else Task.MULTI_LABEL,
        manifest=SimpleNamespace(provenance=provenance),
    )  # fmt: skip
    return bundle, splits


def asked(*bundles, path, split=None, labels=LABELS, **options):
    return rows_to_score(bundles, EvaluationData(source="table", path=str(path), **options), split, labels)


@pytest.mark.parametrize("options", [{"loss.name": "cross_entropy"}, {"data.seed": 7}, {"data.dev_fraction": 0.2}])
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_a_split_is_that_of_the_training(table, tmp_path, options, split):
    bundle, splits = trained(tmp_path / "b", table, **options)
    found = asked(bundle, path=table, split=split)
    assert list(found.rows.texts) == list(splits.named()[split].texts)
    assert found.rows.targets.tolist() == splits.named()[split].targets.tolist()
    assert (found.split, found.read) == (split, 301)


def test_a_split_is_that_of_the_training_at_other_labels_too(table, tmp_path):
    bundle, splits = trained(tmp_path / "b", table)
    found = asked(bundle, path=table, split="test", labels=LabelSet(("joy", "anger")), drop="fear")
    assert list(found.rows.texts) == list(splits.test.texts)


def test_a_dev_split_that_was_cut_from_official_training_rows_is_taken_and_the_official_one_kept(tmp_path):
    path = tmp_path / "halves.csv"
    rows = [f"sentence number {i},{LABELS.names[i % 3]},{'test' if i % 5 == 0 else 'train'}" for i in range(300)]
    path.write_text("\n".join(["text,label,split", *rows]))
    bundle, splits = trained(tmp_path / "b", path, **{"data.seed": 7})
    for split in ("train", "dev"):
        found = asked(bundle, path=path, split=split)
        assert list(found.rows.texts) == list(splits.named()[split].texts)
        assert any("was trained on this source" in note for note in found.notes)
    official = asked(bundle, path=path)
    assert list(official.rows.texts) == list(splits.test.texts)
    assert not any("trained on" in note for note in official.notes)


def test_an_official_dev_split_that_was_pooled_into_folds_is_said(tmp_path):
    path = tmp_path / "thirds.csv"
    rows = [f"sentence number {i},{LABELS.names[i % 2]},{('train', 'dev', 'test')[i % 3]}" for i in range(90)]
    path.write_text("\n".join(["text,label,split", *rows]))
    bundle, _ = trained(tmp_path / "b", path, **{"data.folds": 3})
    whole, _ = trained(tmp_path / "whole", path)

    def said(bundle, split, **options):
        return any("in folds (data.folds)" in note for note in asked(bundle, path=path, split=split, **options).notes)

    assert said(bundle, "dev")
    assert not said(bundle, "test")
    assert not said(whole, "dev")
    assert not said(bundle, "dev", folds=3, fold=1)


def test_of_several_bundles_the_rows_that_each_held_out_are_scored(table, tmp_path):
    (one, first), (other, second) = (
        trained(tmp_path / name, table, **{"data.seed": seed}) for name, seed in (("a", 1), ("b", 2))
    )
    stranger = SimpleNamespace(path=tmp_path / "c", task=Task.MULTI_LABEL, manifest=SimpleNamespace(provenance={}))
    both = set(first.test.texts) & set(second.test.texts)
    assert 0 < len(both) < 30
    found = asked(one, other, stranger, path=table)
    assert (set(found.rows.texts), found.split) == (both, "test")
    for bundle in (one, other):
        assert f"{bundle.path} was trained on this source: scored is the part that was held out as test" in found.notes
    assert not any(str(stranger.path) in note for note in found.notes)
    assert list(asked(one, stranger, path=table, split="dev").rows.texts) == list(first.dev.texts)


def test_a_split_that_the_training_did_not_have_is_refused(table, tmp_path):
    bundle, _ = trained(tmp_path / "b", table, **{"data.test_fraction": 0})
    with pytest.raises(DataNotFoundError, match=r"no row of .*one\.csv is in the test split of the training\. .* all"):
        asked(bundle, path=table, split="test")
    whole = asked(bundle, path=table)
    assert (len(whole.rows), whole.split) == (300, "all")
    assert any("most of these rows are training rows" in note for note in whole.notes)


def test_a_file_of_the_same_name_is_cut_anew_with_a_note(table, tmp_path):
    bundle, _ = trained(tmp_path / "b", table)
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "one.csv"
    path.write_text("\n".join(table.read_text().splitlines()[:101]))
    found = asked(bundle, path=path, split="test")
    assert len(found.rows) == 10
    assert any("source of this name (one.csv)" in note and "test is cut here" in note for note in found.notes)


def test_copies_vote_as_the_task_of_the_bundle_has_them(table):
    stranger = SimpleNamespace(manifest=SimpleNamespace(provenance={}))
    stranger.task = Task.SINGLE_LABEL
    found = asked(stranger, path=table)
    assert len(found.rows) == 299
    assert "1 texts dropped whose copies have different labels, none the most often" in found.notes
    stranger.task = Task.MULTI_LABEL
    assert len(asked(stranger, path=table).rows) == 300
