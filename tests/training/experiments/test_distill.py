"""Teachers, then a student: which runs are made of what, what is taken up again, and the whole of it on tiny models."""

import json

import pytest

from shared.bundle import Bundle
from shared.errors import BundleNotFoundError, ConfigError
from training import distill as command
from training import distillation
from training.config import DataConfig, DistillConfig, LossConfig, RunConfig
from training.config.evaluate import EvalConfig
from training.config.experiments import DistillOptions, TeachersConfig
from training.experiments import distill as experiment
from training.experiments import trials
from training.experiments.distill import distill

RECIPE = """\
run: {seed: 9, output_dir: elsewhere}
data: {max_length: 99}
model: {name: some-large-encoder}
optim: {lr: 1.0e-5}
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_text(RECIPE)
    return str(path)


@pytest.fixture(autouse=True)
def compared(request, monkeypatch):
    """What is compared, where the runs leave no model to compare."""
    made = []
    if "runs" in request.fixturenames:
        monkeypatch.setattr(experiment, "compare_bundles", lambda *given: made.append(given))
        monkeypatch.setattr(experiment, "as_text", lambda result: "student is better by 0.02\n")
    return made


def options(tmp_path, teachers=None, **sections):
    run = RunConfig(name="mine", output_dir=str(tmp_path), seed=5)
    return DistillOptions(run=run, data=DataConfig(max_length=32), teachers=teachers or TeachersConfig(), **sections)


def bundle_of(tmp_path, name):
    return str(tmp_path / "mine-distill" / name / "bundle")


def test_teachers_have_their_recipe_and_seeds_on_the_students_data(tmp_path, runs, recipe):
    distill(options(tmp_path, TeachersConfig(recipe, seeds=[1, 2])))
    one, two, alone, student = runs.made
    assert [(run.run.name, run.run.seed) for run in runs.made] == [
        ("teacher-1", 1), ("teacher-2", 2), ("alone", 5), ("student", 5),
    ]  # fmt: skip
    assert (one.model.name, one.optim.lr, one.data) == ("some-large-encoder", 1e-5, student.data)
    assert two == type(two)(**{**vars(one), "run": two.run})  # they differ in nothing but the seed and the folder
    assert (student.model.name, alone.distill.teachers) == ("starter", [])
    assert student.distill.teachers == [bundle_of(tmp_path, "teacher-1"), bundle_of(tmp_path, "teacher-2")]


def test_without_a_recipe_the_student_learns_from_other_seeds_of_its_own(tmp_path, runs):
    distill(options(tmp_path, TeachersConfig(seeds=[1], compare=False)))
    teacher, student = runs.made
    assert teacher == type(teacher)(**{**vars(student), "run": teacher.run, "distill": teacher.distill})
    assert (teacher.distill.teachers, student.distill.teachers) == ([], [bundle_of(tmp_path, "teacher-1")])


def test_bundles_at_hand_teach_beside_those_that_are_trained_or_by_themselves(tmp_path, runs, monkeypatch):
    monkeypatch.setattr(experiment, "Bundle", trials.Bundle)
    at_hand = DistillConfig(teachers=["at/hand"])
    distill(options(tmp_path, TeachersConfig(seeds=[1], compare=False), distill=at_hand))
    assert runs.made[-1].distill.teachers == ["at/hand", bundle_of(tmp_path, "teacher-1")]
    distill(options(tmp_path / "second", TeachersConfig(seeds=[], compare=False), distill=at_hand))
    assert [run.run.name for run in runs.made] == ["teacher-1", "student", "student"]


def test_students_of_several_seeds_have_means_and_the_best_is_compared_with_itself_alone(tmp_path, runs, compared):
    runs.score = lambda config: 0.5 + config.run.seed / 100 + (0.1 if config.distill.teachers else 0.0)
    text = distill(options(tmp_path, TeachersConfig(seeds=[1, 2], student_seeds=[7, 8, 9])))
    names = ["teacher-1", "teacher-2", *(f"{name}-{seed}" for name in ("alone", "student") for seed in (7, 8, 9))]
    assert [run.run.name for run in runs.made] == names
    assert [run.run.seed for run in runs.made] == [1, 2, 7, 8, 9, 7, 8, 9]
    assert all(run.distill.teachers == [bundle_of(tmp_path, f"teacher-{n}") for n in (1, 2)] for run in runs.made[5:])
    assert "alone: dev macro_f1: 0.5800 +- 0.0100 [0.5552, 0.6048]" in text  # t of 2 degrees: 4.303 x 0.01 / sqrt(3)
    assert "student: dev macro_f1: 0.6800 +- 0.0100 [0.6552, 0.7048]" in text
    assert [words for words, _ in compared] == [[bundle_of(tmp_path, "alone-9"), bundle_of(tmp_path, "student-9")]]
    assert f"the best student's bundle: {bundle_of(tmp_path, 'student-9')}" in text
    kept = json.loads((tmp_path / "mine-distill" / "results.json").read_text())
    assert kept["summary"]["student"]["dev"]["macro_f1"]["count"] == 3


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_killed_after_any_step_it_goes_on_with_the_next(tmp_path, runs, monkeypatch, steps):
    def killed(config):
        if len(runs.made) > steps:
            raise KeyboardInterrupt
        return 0.5

    runs.score = killed
    with pytest.raises(KeyboardInterrupt):
        distill(options(tmp_path))
    began = runs.made.pop()
    assert not began.run.resume
    runs.score = lambda config: 0.5 + config.run.seed / 100
    text = distill(options(tmp_path))
    assert [run.run.name for run in runs.made] == ["teacher-1", "teacher-2", "alone", "student"]
    assert [run.run.resume for run in runs.made] == [position == steps for position in range(4)]
    assert f"the student's bundle: {bundle_of(tmp_path, 'student')}" in text


def test_the_student_is_compared_with_itself_alone(tmp_path, runs, compared):
    text = distill(options(tmp_path))
    assert [words for words, _ in compared] == [[bundle_of(tmp_path, "alone"), bundle_of(tmp_path, "student")]]
    assert "student is better by 0.02" in text
    assert "another seed differs by chance in training too" in text
    assert {path.name for path in (tmp_path / "mine-distill").iterdir() if path.is_file()} == {
        "results.json", "results.csv", "results.txt", "results.svg",
    }  # fmt: skip
    distill(options(tmp_path, TeachersConfig(compare=False)))
    assert len(compared) == 1


@pytest.mark.parametrize(("samples", "used"), [(30, 30), (0, 1)])
def test_the_comparison_takes_resamples_and_texts_as_configured(tmp_path, runs, compared, samples, used):
    distill(options(tmp_path, eval=EvalConfig(bootstrap_samples=samples, show_texts=False)))
    ((_, made),) = compared
    assert (made.bootstrap_samples, made.show_texts, made.timing) == (used, False, False)
    assert made.output == str(tmp_path / "mine-distill" / "comparison")


@pytest.mark.parametrize(
    ("given", "sections", "message"),
    [
        ({"seeds": [1, 1]}, {}, r"teachers.seeds is \[1, 1\]; allowed is a list of different seeds"),
        (
            {"student_seeds": [4, 4], "compare": False},
            {},
            r"teachers.student_seeds is \[4, 4\]; allowed is a list of different seeds",
        ),
        ({"seeds": []}, {}, "there is no teacher: teachers.seeds and distill.teachers are both empty"),
        ({}, {"distill": DistillConfig(weight=0.0)}, "distill.weight is 0, so nothing is learned from teachers"),
    ],
)
def test_what_cannot_teach_is_refused_before_anything_runs(tmp_path, runs, given, sections, message):
    with pytest.raises(ConfigError, match=message):
        distill(options(tmp_path, TeachersConfig(**given), **sections))
    assert runs.made == []


def test_teachers_for_another_task_are_refused_before_anything_runs(tmp_path, runs, recipe):
    with pytest.raises(ConfigError, match="of the teachers is for a multi_label task, the student's for single_label"):
        distill(options(tmp_path, TeachersConfig(recipe), loss=LossConfig(name="cross_entropy")))
    assert runs.made == []


def test_a_bundle_that_is_not_there_is_refused_before_anything_runs(tmp_path, runs):
    with pytest.raises(BundleNotFoundError, match="no bundle at"):
        distill(options(tmp_path, distill=DistillConfig(teachers=[str(tmp_path / "none")])))
    assert runs.made == []


def test_tiny_models_from_texts_to_a_sealed_student(arguments, tmp_path, capsys, monkeypatch):
    short = [
        *(word for word in arguments if not word.startswith(("--data.cache_dir", "--optim.epochs"))),
        f"--data.cache_dir={tmp_path / 'cache'}", "--optim.max_steps=2", "--eval.bootstrap_samples=0",
        "--teachers.seeds=[3]",
    ]  # fmt: skip
    compute, calls = distillation._computed, []
    monkeypatch.setattr(distillation, "_computed", lambda *given: calls.append(given) or compute(*given))

    def interrupted(*given, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # after the teacher has answered, before the student learns
        patch.setattr("training.loop.training_rows.with_teacher", interrupted)
        with pytest.raises(KeyboardInterrupt):
            command.main(short)
    assert (len(calls), calls[0][-1]) == (1, distillation.choose_precision("auto").name)
    command.main(short)
    assert len(calls) == 1  # its answers were kept
    folder = tmp_path / "runs/default-distill"
    teacher, student = (Bundle.read(folder / name / "bundle") for name in ("teacher-3", "student"))
    assert [given["seal"] for given in student.manifest.provenance["training"]["teachers"]] == [teacher.seal]
    out = capsys.readouterr().out
    assert f"the student's bundle: {student.path}" in out
    assert json.loads((folder / "comparison/comparison.json").read_text())["on"]
    assert "the others are compared with this one" in out
    assert (folder / "latest").resolve() == (folder / "student").resolve()
