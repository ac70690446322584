"""Teachers: their logits in the student's order, averaged, computed once; and mistakes reported before training."""

from dataclasses import replace

import numpy as np
import pytest
from transformers import set_seed

from shared.bundle import Bundle
from shared.errors import BundleNotFoundError, ConfigError
from shared.labels import LabelSet
from shared.modeling.classifier import build_classifier
from tests.training.rows import LABELS, tiny_corpus, tiny_rows
from training import distillation as teachers
from training.config import Config, DistillConfig, EvalConfig, OptimConfig
from training.distillation import Distillation, ensemble_logits, read_teachers, with_teacher
from training.loop.train import train
from training.run import main
from training.runtime.resources import Precision
from training.runtime.run_folder import RunFolder

CONFIG = Config(optim=OptimConfig(head_lr=None, epochs=2, lr=1e-2, batch_size=12), eval=EvalConfig(patience=None))


def student_labels(bundle):
    return LabelSet(tuple(reversed(bundle.manifest.labels)))


def test_columns_follow_the_names_of_the_student_and_several_teachers_are_averaged(finished, monkeypatch):
    bundle = Bundle.read(finished / "bundle")
    corpus, labels = tiny_corpus(6, seed=3), student_labels(bundle)
    own = ensemble_logits([bundle], corpus, bundle.label_set, batch_size=4, cache=None)
    assert np.array_equal(ensemble_logits([bundle], corpus, labels, batch_size=4, cache=None), own[:, ::-1])
    outputs = iter([own, own + 3])
    monkeypatch.setattr(teachers, "_computed", lambda *_: next(outputs))
    both = ensemble_logits([bundle, bundle], corpus, bundle.label_set, batch_size=4, cache=None)
    assert both == pytest.approx(own + 1.5, abs=1e-5)


def test_logits_are_computed_once_for_the_same_texts_and_teacher(finished, monkeypatch, tmp_path):
    bundle, calls = Bundle.read(finished / "bundle"), []
    compute = teachers._computed
    monkeypatch.setattr(teachers, "_computed", lambda *args: calls.append(1) or compute(*args))
    corpus, options = tiny_corpus(6, seed=3), {"batch_size": 4, "cache": tmp_path}
    first, second = (ensemble_logits([bundle], corpus, bundle.label_set, **options) for _ in range(2))
    assert np.array_equal(first, second)
    assert len(calls) == 1
    ensemble_logits([bundle], tiny_corpus(6, seed=4), bundle.label_set, **options)
    assert len(calls) == 2


def test_a_cache_that_cannot_be_written_is_done_without(finished, tmp_path, monkeypatch):
    bundle = Bundle.read(finished / "bundle")

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(teachers, "replacing_file", refuse)
    logits = ensemble_logits([bundle], tiny_corpus(3, seed=3), bundle.label_set, batch_size=4, cache=tmp_path)
    assert logits.shape == (3, 3)


def test_a_teacher_with_other_labels_is_refused_by_name(finished):
    with pytest.raises(ConfigError, match=r"has other labels than this run \(lacking: calm; further: fear\)"):
        read_teachers(DistillConfig([str(finished / "bundle")]), LabelSet(("anger", "joy", "calm")), "multi_label")


def test_a_teacher_for_another_task_is_refused(finished):
    with pytest.raises(ConfigError, match="is made for a multi_label task, this run for single_label"):
        read_teachers(DistillConfig([str(finished / "bundle")]), LabelSet(LABELS), "single_label")


def test_a_missing_teacher_is_refused_unless_it_has_no_weight(tmp_path):
    with pytest.raises(BundleNotFoundError, match="no bundle at"):
        read_teachers(DistillConfig([str(tmp_path)]), LabelSet(LABELS), "multi_label")
    assert read_teachers(DistillConfig([str(tmp_path)], weight=0.0), LabelSet(LABELS), "multi_label") == []


def trained(tiny_model, path, weight, teacher=10.0):
    set_seed(0)
    model, rows = build_classifier(tiny_model, labels=LABELS, pooling="mean"), tiny_rows(CONFIG, tiny_model)
    if weight is not None:
        logits = np.full((len(rows.train), len(LABELS)), teacher, dtype=np.float32)
        rows = replace(rows, train=with_teacher(rows.train, logits), distillation=Distillation(weight, 1.0))
    folder = RunFolder(path)
    folder.logs.mkdir(parents=True)
    progress = train(model, rows, CONFIG, folder, precision=Precision("fp32", "test"))
    return model, [entry["eval_loss"] for entry in progress.history if "eval_loss" in entry]


def test_weight_0_trains_as_without_a_teacher_and_weight_1_learns_from_it(tiny_model, tmp_path):
    (_, alone), (_, zero), (_, taught) = (
        trained(tiny_model, tmp_path / str(weight), weight) for weight in (None, 0.0, 1.0)
    )
    assert alone == zero
    assert taught[-1] > alone[-1]  # the loss on dev is that of the labels, and this teacher says yes to everything


def test_a_run_learns_from_a_bundle_and_names_it(arguments, finished, tmp_path):
    teacher = finished / "bundle"
    main([*arguments, f"--distill.teachers=[{teacher}]", "--optim.max_steps=2"])
    provenance = Bundle.read(tmp_path / "runs/default/bundle").manifest.provenance
    seal = Bundle.read(teacher).seal
    assert provenance["training"]["teachers"] == [{"bundle": teacher.name, "seal": seal}]  # no path of this machine
