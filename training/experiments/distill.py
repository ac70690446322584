"""From texts to a student in one go: its teachers, what they say of the training rows, the student, and it alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from shared.bundle import Bundle
from shared.errors import ConfigError
from training.config import Config
from training.config.experiments import DistillOptions
from training.config.parser import load
from training.evaluation.compare_bundles import as_text, compare_bundles
from training.experiments.results import comparison_options, row_of, write_plot, write_results
from training.experiments.trials import (
    METRICS,
    Outcome,
    Trial,
    base_config,
    experiment_folder,
    make_trial,
    run_trial,
    run_trials,
)

SEEDS = (
    "These intervals are chance in the choice of rows; another seed differs by chance in training too (emotion sweep)."
)


def distill(options: DistillOptions) -> str:
    """Train what is not there yet, and write the table; its text is returned.

    Every step is a run of its own in the folder of the experiment: finished ones are taken as they are, an interrupted
    one goes on from its last checkpoint, and the logits of a teacher are in the cache once they are computed.

    Raises:
        ConfigError: when there is no teacher, one twice, or one for another task.
        EmotionError: whatever a run raises.
    """
    config, folder = base_config(options), experiment_folder(options, "distill")
    trials = teacher_trials(options, folder)
    given = [str(Bundle.read(Path(path)).path) for path in config.distill.teachers]
    teachers = run_trials(trials, side_by_side=options.teachers.side_by_side)
    bundles = [*given, *(str(teacher.bundle) for teacher in teachers)]
    learning = {"alone": replace(config.distill, teachers=[])} if options.teachers.compare else {}
    learning["student"] = replace(config.distill, teachers=bundles)
    students = [run_trial(make_trial(config, folder, name, distill=section)) for name, section in learning.items()]
    return _write(folder, [*teachers, *students])


def teacher_trials(options: DistillOptions, folder: Path) -> list[Trial]:
    """The runs that make the teachers, one a seed.

    Raises:
        ConfigError: when nothing is to be learned, or the teachers are for another task than the student.
    """
    own, seeds = base_config(options), options.teachers.seeds
    if len(set(seeds)) != len(seeds):
        raise ConfigError(f"teachers.seeds is {seeds}; allowed is a list of different seeds.")
    if not seeds and not own.distill.teachers:
        raise ConfigError("there is no teacher: teachers.seeds and distill.teachers are both empty.")
    if not own.distill.weight:
        raise ConfigError("distill.weight is 0, so nothing is learned from teachers; it must be above 0.")
    config = teacher_config(options)
    if config.loss.task != own.loss.task:
        raise ConfigError(
            f"the recipe {options.teachers.recipe} of the teachers is for a {config.loss.task} task, the student's "
            f"for {own.loss.task}.",
            hint="Choose another teachers.recipe or loss.name.",
        )
    return [make_trial(config, folder, f"teacher-{seed}", run=replace(config.run, seed=seed)) for seed in seeds]


def teacher_config(options: DistillOptions) -> Config:
    """The teachers' recipe on the student's data; the student's own, taught by nobody, when there is none."""
    own = base_config(options)
    if options.teachers.recipe is None:
        return replace(own, distill=replace(own.distill, teachers=[]))
    recipe = load(options.teachers.recipe)
    return replace(recipe, run=own.run, data=own.data, preflight=own.preflight, watch=own.watch)


def _write(folder: Path, outcomes: list[Outcome]) -> str:
    """The table, the student beside itself alone with paired intervals, and where its bundle is."""
    bundles = {outcome.name: outcome.bundle for outcome in outcomes}
    lines = [""]
    if "alone" in bundles:
        words = [str(bundles["alone"]), str(bundles["student"])]
        compared = compare_bundles(words, comparison_options(folder, outcomes[-1].config.eval))
        lines += [as_text(compared).rstrip(), SEEDS, f"the whole comparison: {folder / 'comparison' / 'report.html'}"]
    lines.append(f"the student's bundle: {bundles['student']}")
    scores = {outcome.name: outcome.metric(METRICS[0]) for outcome in outcomes}
    write_plot(folder, scores, label="macro F1 on dev")
    return write_results(folder, [row_of(outcome) for outcome in outcomes], lines=lines)
