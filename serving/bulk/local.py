"""The local engine: several processes on this machine, in constant memory, resumed after anything was killed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, islice

from serving.bulk.job import Job
from serving.bulk.pool import Pool
from serving.bulk.reading import Part
from serving.bulk.run import Run, default_processes
from serving.bulk.scoring import Prepared, ScoredPart, Scorer
from shared.tables import Format


def score_files(
    job: Job, inputs: Sequence[str], output: str, *, form: Format | None = None, restart: bool = False,
    processes: int | None = None,
) -> str:  # fmt: skip
    """Score files, each into an output that is complete or absent; rows that cannot be read as the job says.

    A run that was stopped or killed goes on when it is called again with the same arguments; its outputs are then
    equal, byte by byte, to those of a run that was not.

    Args:
        job: which bundle, and how.
        inputs: files, folders or patterns; local paths or URLs that fsspec reaches.
        output: a file for a single input file, else a folder.
        form: of the outputs; each its input's when None.
        restart: whether to throw away what an earlier run has done.
        processes: how many; when None, one a core, or one on CUDA.

    Returns:
        What was done, in one line.

    Raises:
        EmotionError: when the bundle, an input or the output cannot be used.
        KeyboardInterrupt: when it was stopped.
    """
    run = Run(job, inputs, output, form=form, restart=restart)
    wanted = processes or default_processes(job)
    with run.resumable():
        parts = run.parts()
        first = list(islice(parts, 2))
        one_a_core = replace(job, threads=job.threads or 1)
        if len(first) == 1 and not run.progress.before:
            _here(run, job, iter(first))  # all there is: by all cores, without a further process
        elif len(first) == 1 or (first and wanted == 1):
            _here(run, one_a_core, chain(first, parts))
        elif first:
            with Pool(one_a_core, wanted, run.show_progress) as pool:
                _keep(run, pool.score(chain(first, parts)))
                run.model = pool.model or run.model
        return run.finish()


def _here(run: Run, job: Job, parts: Iterator[Part]) -> None:
    """Score in this process."""
    scorer = Scorer.open(job)
    run.model = scorer.model
    _keep(run, _scored(scorer, parts))


def _scored(scorer: Scorer, parts: Iterator[Part]) -> Iterator[tuple[Part, ScoredPart]]:
    """Every part with what became of it; a thread tokenises the next one while the model reads.

    Where the next one cannot be read, the one before is scored all the same.
    """
    with ThreadPoolExecutor(1) as tokenising:
        before: tuple[Part, Future[Prepared]] | None = None
        failure: Exception | None = None
        reading = True
        while reading:
            try:
                part = next(parts, None)
            except Exception as error:
                part, failure = None, error
            reading = part is not None
            ahead = None if part is None else (part, tokenising.submit(scorer.prepare_part, part))
            if before is not None:
                yield before[0], scorer.score(before[0], before[1].result())
            before = ahead
        if failure is not None:
            raise failure


def _keep(run: Run, scored: Iterator[tuple[Part, ScoredPart]]) -> None:
    for part, found in scored:
        run.note(found.notes)
        run.part_done(part.file, run.states[part.file].write(part, found))
        run.show_progress()
