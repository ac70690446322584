"""The engine on Ray Data: tasks read files into parts, a pool of actors scores them, the driver puts them together.

A part is kept whole or not at all, and keeping it twice changes nothing: so Ray may run a task or an actor's call again
when a worker or a node is lost, and the outputs are those of the local engine. Reading yields the same parts at every
attempt, as Ray's reconstruction of lost blocks demands.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from serving.bulk.job import Job, ScoredFile
from serving.bulk.outputs import FileState, PartRecord, RunState
from serving.bulk.reading import FileEnd, Part, read_parts
from serving.bulk.run import Run
from serving.bulk.scoring import Scorer
from shared.errors import ConfigError, DataError, EmotionError
from shared.tables import Format

MOST_ATTEMPTS = 5
"""Times that a part is begun, as actors and nodes are lost, before it is taken for what ends them."""
BLOCK_BYTES = 2**16
"""A part has more, so that it is a block of its own, for any actor to take; small files share one."""
OBJECT_STORE_BYTES = 2**29
"""Of a cluster that is started here: parts on their way have a megabyte each."""
ROWS_COLUMN = "pickled"


class RayFailedError(EmotionError):
    """Ray has given up."""


@dataclass(frozen=True)
class Outcome:
    """What a task or an actor tells the driver of a file: a part that is kept, the end, or why it cannot be read."""

    file: int
    found: PartRecord | FileEnd | EmotionError
    notes: Sequence[str] = ()


def score_files(
    job: Job, inputs: Sequence[str], output: str, *, form: Format | None = None, restart: bool = False,
    processes: int | None = None,
) -> str:  # fmt: skip
    """As `serving.bulk.local.score_files`, on the cluster that `RAY_ADDRESS` names, or one that is started here.

    Inputs, outputs and the bundle must be where every node finds them, and the package installed there. `processes` is
    the number of actors: when None, as many as the cluster has cores for, or GPUs with `job.provider` "cuda".

    Raises:
        ConfigError: when Ray is not installed, or the cluster lacks what an actor needs.
        RayFailedError: when Ray has given up; what is done is kept.
        EmotionError: as there.
    """
    job = replace(job, provider=job.provider or "cpu", threads=job.threads or 1)
    run = _RayRun(job, inputs, output, form=form, restart=restart)
    run.tables.clear()  # the tasks open them
    with run.resumable():
        numbers = run.unfinished()
        if numbers:
            with _cluster() as ray:
                run.ray = ray
                _follow(run, _outcomes(ray, run, numbers, processes))
        return run.finish()


class _RayRun(Run):
    """A run whose outputs are put together by tasks on the cluster, as they may be more than one machine can write."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options, here=False)
        self.ray: Any = None
        self._pending: dict[Any, int] = {}

    def complete(self, state: FileState, end: FileEnd) -> None:
        """Have an output put together."""
        task = self.ray.remote(num_cpus=0, scheduling_strategy="SPREAD")(_complete)
        self._pending[task.remote(state, end, self.model)] = end.file

    def collect(self, *, wait: bool) -> None:
        """Count the outputs that are there; all of them when the run waits."""
        while self._pending:
            done, _ = self.ray.wait(list(self._pending), timeout=None if wait else 0)
            for task in done:
                number = self._pending.pop(task)
                found = self.ray.get(task)
                if isinstance(found, DataError):
                    self.fail(found)
                else:
                    self.completed(number, found)
            if not wait:
                return


def _complete(state: FileState, end: FileEnd, model: str) -> dict[str, Any] | DataError:
    try:
        return state.complete(end.layout, end.parts, model)
    except DataError as error:
        return error


def import_ray() -> Any:
    """Ray with its data sets.

    Raises:
        ConfigError: when it is not installed.
    """
    try:
        import ray  # noqa: PLC0415  an extra
        import ray.data  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"scoring on Ray needs the package {error.name}, which is not installed.",
            hint="Run: pip install 'emotion-classifiers[ray]'",
        ) from None
    return ray


@contextlib.contextmanager
def _cluster() -> Iterator[Any]:
    """Ray, connected: to the cluster in use here or named by `RAY_ADDRESS`, else to one that is started and ended."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    own = (
        {} if os.environ.get("RAY_ADDRESS") else {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    )
    ray.init(logging_level="ERROR", log_to_driver=False, **own)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield ray
    finally:
        ray.shutdown()


def actor_pool(ray: Any, job: Job, wanted: int | None) -> dict[str, Any]:
    """Number and resources of the actors, for `map_batches`.

    Raises:
        ConfigError: when no node has what one needs.
    """
    needs = {"num_gpus": 1} if job.provider == "cuda" else {"num_cpus": job.threads or 1}
    kind, amount = ("GPU", 1) if job.provider == "cuda" else ("CPU", job.threads or 1)
    if ray.is_initialized():
        most = sum(int(node["Resources"].get(kind, 0) // amount) for node in ray.nodes() if node["Alive"])
        if not most:
            raise ConfigError(f"no node of the cluster has {amount} {kind}, which an actor needs.")
        wanted = wanted or most
    pool = ray.data.ActorPoolStrategy(size=wanted or 1, max_tasks_in_flight_per_actor=2)
    return {"compute": pool, **needs}


def _outcomes(ray: Any, run: Run, numbers: Sequence[int], wanted: int | None) -> Iterator[Outcome]:
    """What becomes of the files, as it becomes."""
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.target_max_block_size = BLOCK_BYTES
    items = [
        {ROWS_COLUMN: pickle.dumps((number, run.files[number], frozenset(run.begin_file(number))))}
        for number in numbers
    ]  # fmt: skip
    with ray.data.DataContext.current(context):
        actors = actor_pool(ray, run.job, wanted)
        readers = ray.data.TaskPoolStrategy(size=min(len(items), max(2, actors["compute"].max_size // 16)))
        files = ray.data.from_items(items, override_num_blocks=len(items))
        # reading needs no core of its own beside the actors', which may have taken all; and it is not fused with them
        parts = files.map_batches(
            _read, fn_args=(run.job, run.labels), batch_size=1, batch_format="numpy", compute=readers, num_cpus=0
        )
        outcomes = parts.map_batches(
            _PartScorer, fn_constructor_args=(run.job, run.output, run.state.single, run.model), batch_size=1,
            batch_format="numpy", **actors,
        )  # fmt: skip
        for row in outcomes.iter_rows():
            yield pickle.loads(row[ROWS_COLUMN])


def _follow(run: _RayRun, outcomes: Iterator[Outcome]) -> None:
    try:
        for outcome in outcomes:
            run.note(outcome.notes)
            if isinstance(outcome.found, PartRecord):
                run.part_done(outcome.file, outcome.found)
            elif isinstance(outcome.found, FileEnd):
                run.read_to_end(outcome.found)
            elif isinstance(outcome.found, DataError):
                run.fail(outcome.found)
            else:
                raise outcome.found
            run.collect(wait=False)
            run.show_progress()
        run.collect(wait=True)
    except run.ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, EmotionError):
            raise cause from None
        raise RayFailedError(
            f"Ray has given up: {' '.join(str(error).split())[-300:]}", hint="The same command goes on from there."
        ) from error


def _read(batch: Mapping[str, Any], job: Job, labels: Sequence[str]) -> Iterator[dict[str, list[bytes]]]:
    """The parts of files, one a batch, and what ends them."""
    for payload in batch[ROWS_COLUMN]:
        number, file, done = pickle.loads(payload)
        try:
            for found in read_parts(number, file, job, labels, done=done):
                yield {ROWS_COLUMN: [pickle.dumps((file, found))]}
        except EmotionError as error:
            yield {ROWS_COLUMN: [pickle.dumps((file, Outcome(number, error)))]}


class _PartScorer:
    """An actor that scores parts and keeps them; what the user can fix is an outcome, as Ray hides what is raised."""

    def __init__(self, job: Job, output: str, single: bool, model: str) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        self._run = RunState(output, single=single)
        self._state: FileState | None = None
        self._scorer = self._opened(job, model)

    @staticmethod
    def _opened(job: Job, model: str) -> Scorer | EmotionError:
        try:
            found = Scorer.open(job)
        except EmotionError as error:
            return error
        if found.model != model:
            return ConfigError(f"a node scores with {found.model} where others have {model}.")
        return found

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[bytes]]:
        """The outcomes of parts."""
        return {ROWS_COLUMN: [pickle.dumps(self._outcome(*pickle.loads(row))) for row in batch[ROWS_COLUMN]]}

    def _outcome(self, file: ScoredFile, found: Part | FileEnd | Outcome) -> Outcome:
        if isinstance(found, Outcome):
            return found
        if isinstance(found, FileEnd):
            return Outcome(found.file, found, found.layout.notes)
        try:
            return self._kept(file, found)
        except EmotionError as error:
            return Outcome(found.file, error)

    def _kept(self, file: ScoredFile, part: Part) -> Outcome:
        """A part that is now scored and kept."""
        if isinstance(self._scorer, EmotionError):
            raise self._scorer
        state = self._state_of(file)
        if not state.attempt(part.number, MOST_ATTEMPTS):
            raise RayFailedError(
                f"{part.rows} were begun {MOST_ATTEMPTS} times and never done.",
                hint="What was done before is kept. Look at these rows, or for too little memory.",
            )
        scored = self._scorer.score(part)
        return Outcome(part.file, state.write(part, scored), scored.notes)

    def _state_of(self, file: ScoredFile) -> FileState:
        """Of a file; that of the part before, mostly, which knows the folders that are there."""
        if self._state is None or self._state.file != file:
            self._state = FileState(self._run, file)
        return self._state
