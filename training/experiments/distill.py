"""From texts to students in one go: their teachers, what they say of the training rows, students, and those alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from shared.bundle import Bundle
from shared.errors import ConfigError
from training.config import Config
from training.config.experiments import DistillOptions
from training.config.parser import load
from training.evaluation.compare_bundles import as_text, compare_bundles
from training.experiments.repeats import MEANS, as_lines, plain, summarise
from training.experiments.results import comparison_options, row_of, write_plot, write_results
from training.experiments.trials import Outcome, Trial, base_config, experiment_folder, make_trial, run_trials

ALONE, STUDENT = "alone", "student"
SEEDS = (
    "These intervals are chance in the choice of rows; another seed differs by chance in training too (emotion sweep)."
)


def distill(options: DistillOptions) -> str:
    """Train what is not there yet, and write the table; its text is returned.

    Every step is a run of its own in the folder of the experiment: finished ones are taken as they are, an interrupted
    one goes on from its last checkpoint, and the logits of a teacher are in the cache once they are computed. A student
    alone waits for no teacher.

    Raises:
        ConfigError: when there is no teacher, one twice, or one for another task.
        EmotionError: whatever a run raises.
    """
    config, folder = base_config(options), experiment_folder(options, "distill")
    trials, together = teacher_trials(options, folder), options.teachers.side_by_side
    given = [str(Bundle.read(Path(path)).path) for path in config.distill.teachers]
    count = len(trials)
    if options.teachers.compare:
        trials += student_trials(options, folder, ALONE, teachers=[])
    outcomes = run_trials(trials, side_by_side=together)
    bundles = [*given, *(str(teacher.bundle) for teacher in outcomes[:count])]
    trials = student_trials(options, folder, STUDENT, teachers=bundles)
    # the first by itself: it leaves the teachers' logits to the others
    students = [*run_trials(trials[:1]), *run_trials(trials[1:], side_by_side=together)]
    return _write(folder, outcomes[:count], outcomes[count:], students)


def teacher_trials(options: DistillOptions, folder: Path) -> list[Trial]:
    """The runs that make the teachers, one a seed.

    Raises:
        ConfigError: when nothing is to be learned, or the teachers are for another task than the student.
    """
    own, seeds = base_config(options), options.teachers.seeds
    for key, given in (("seeds", seeds), ("student_seeds", options.teachers.student_seeds)):
        if len(set(given)) != len(given):
            raise ConfigError(f"teachers.{key} is {given}; allowed is a list of different seeds.")
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


def student_trials(options: DistillOptions, folder: Path, name: str, *, teachers: list[str]) -> list[Trial]:
    """The student's runs with these teachers, one a seed; named by their seeds where any were asked for."""
    config, seeds = base_config(options), options.teachers.student_seeds
    section = replace(config.distill, teachers=teachers)
    runs = {f"{name}-{seed}": replace(config.run, seed=seed) for seed in seeds} or {name: config.run}
    return [make_trial(config, folder, run_name, run=run, distill=section) for run_name, run in runs.items()]


def teacher_config(options: DistillOptions) -> Config:
    """The teachers' recipe on the student's data; the student's own, taught by nobody, when there is none."""
    own = base_config(options)
    if options.teachers.recipe is None:
        return replace(own, distill=replace(own.distill, teachers=[]))
    recipe = load(options.teachers.recipe)
    return replace(recipe, run=own.run, data=own.data, preflight=own.preflight, watch=own.watch)


def _write(folder: Path, teachers: list[Outcome], alone: list[Outcome], students: list[Outcome]) -> str:
    """The table, the best student beside itself alone with paired intervals, and where its bundle is."""
    outcomes, best = [*teachers, *alone, *students], max(students, key=Outcome.metric)
    groups = {ALONE: alone, STUDENT: students} if len(students) > 1 else {}
    summaries = {name: summarise(group) for name, group in groups.items() if group}
    lines = ["", *(line for name, summary in summaries.items() for line in as_lines(summary, f"{name}: "))]
    if summaries:
        lines += [MEANS, ""]
    if alone:
        pair = [str(alone[students.index(best)].bundle), str(best.bundle)]
        compared = compare_bundles(pair, comparison_options(folder, best.config.eval))
        lines += [as_text(compared).rstrip(), SEEDS, f"the whole comparison: {folder / 'comparison' / 'report.html'}"]
    lines.append(f"the {'best ' if summaries else ''}student's bundle: {best.bundle}")
    write_plot(folder, {outcome.name: outcome.metric() for outcome in outcomes}, label="macro F1 on dev")
    rows = [row_of(outcome) for outcome in outcomes]
    return write_results(folder, rows, lines=lines, summary={name: plain(found) for name, found in summaries.items()})
