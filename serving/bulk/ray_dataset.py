"""A user's own `ray.data.Dataset`, scored by a pool of actors; what is written is Ray Data's."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from serving.bulk.job import PART_ROWS, PREDICTED, Job, decision_notes
from serving.bulk.on_ray import actor_pool, import_ray
from serving.bulk.reading import check_free, texts_of, without_wrong_rows
from serving.bulk.scoring import Scorer
from serving.table_turns import TurnColumns, TurnReader
from shared.bundle import Bundle
from shared.errors import ConfigError, DataFormatError
from shared.languages import language_code
from shared.profiles import for_language
from shared.tables import Chunk

NAME = "a batch of the data set"


def score_dataset(
    dataset: Any, bundle: str | os.PathLike[str], *, text: str = "text", policy: str | None = None,
    profile: str | None = None, language: str | None = None, language_column: str | None = None,
    context: str | None = None, precision: str | None = None, provider: str = "cpu", actors: int | None = None,
) -> Any:  # fmt: skip
    """A `ray.data.Dataset` with `predicted_labels` and `p_<label>` after its own columns; lazy, as the others are.

    Args:
        dataset: rows with a column of texts.
        bundle: its folder, on every node.
        text: the column; an empty or null text has no prediction.
        policy: of the decisions; the bundle's when None.
        profile: of the bundle, to decide by.
        language: of all texts, by whose thresholds they are decided; in place of `profile`.
        language_column: each row's language, in place of both.
        context: the column of the previous turns. Rows before are none: a data set has no order of its own.
        precision: fp32, int8, fp16, or None for the best one.
        provider: cpu, or cuda with a GPU for every actor.
        actors: how many; when None, what the cluster has cores or GPUs for.

    Raises:
        ConfigError: when Ray is not installed, or options do not go together; and when it runs, for a bundle that reads
            no previous turns, and for columns of the names that are added.
        InvalidInputError: for a language that is none.
    """
    ray = import_ray()
    if sum(given is not None for given in (profile, language, language_column)) > 1:
        raise ConfigError("give either profile, language or language_column: each says whose thresholds decide.")
    job = Job(
        str(bundle), precision, provider, 1, profile, policy, text_column=text,
        language=None if language is None else language_code(language), language_column=language_column,
        turns=None if context is None else TurnColumns(context),
    )  # fmt: skip
    return dataset.map_batches(
        TableScorer, fn_constructor_args=(job,), batch_format="pyarrow", batch_size=PART_ROWS,
        **actor_pool(ray, job, actors),
    )  # fmt: skip


class TableScorer:
    """An actor that adds the columns to Arrow's tables."""

    def __init__(self, job: Job) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        bundle = Bundle.read(job.bundle, weights=False)
        decision_notes(job, bundle)
        if job.language is not None:
            job = replace(job, profile=for_language(bundle.profiles, job.language))
        self._job, self._scorer = job, Scorer.open(job)

    def __call__(self, table: Any) -> Any:
        """The table with the added columns."""
        import pyarrow as pa  # noqa: PLC0415

        check_free("the data set", table.column_names, self._scorer.added)
        for name, values in self._scorer.columns(self._scorer.prepare(*self._rows(table))).items():
            kind = pa.list_(pa.string()) if name == PREDICTED else pa.float64()
            table = table.append_column(name, pa.array(values, kind))
        return table

    def _rows(self, table: Any) -> tuple[Any, Any]:
        """The rows with what stands before them."""
        for name in self._job.named.values():
            if name not in table.column_names:
                raise DataFormatError(
                    f"the data set has no column '{name}' (columns: {', '.join(table.column_names)})."
                )
        columns = {name: table.column(name).to_pylist() for name in self._job.named.values()}
        chunk = without_wrong_rows(Chunk(columns, NAME, range(1, table.num_rows + 1), "row"), self._job)
        turns = self._job.turns
        return chunk, None if turns is None else TurnReader(turns).before(chunk, texts_of(chunk, self._job))
