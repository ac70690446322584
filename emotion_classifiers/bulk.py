"""Files and data sets scored in bulk: by several processes, or on a Ray cluster (docs/bulk.md)."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Literal

from emotion_classifiers.wording import python_errors

if TYPE_CHECKING:
    from shared.tables import Format

Place = str | PathLike[str]


@python_errors({"text_column": "text", "restart": "restart=True", "overwrite_columns": "overwrite_columns=True"})
def score_files(
    bundle: Place, inputs: Place | Sequence[Place], output: Place, *, text: str = "text", policy: str | None = None,
    profile: str | None = None, precision: str | None = None, provider: str | None = None,
    language_column: str | None = None, bad_rows: Literal["error", "aside"] = "error",
    overwrite_columns: bool = False, output_format: Format | None = None, restart: bool = False,
    processes: int | None = None, engine: Literal["local", "ray"] = "local", **reading: Any,
) -> str:  # fmt: skip
    """Score files into files, each complete or absent; called again after a kill, it goes on from there.

    Args:
        bundle: its folder.
        inputs: files, folders or patterns; paths or URLs that fsspec reaches.
        output: a file for a single input file, else a folder.
        text: the column of the texts.
        policy: of the decisions; the bundle's when None.
        profile: of the bundle, to decide by.
        precision: fp32, int8, fp16, or None for the best one.
        provider: cpu, cuda, or None for the best one here.
        language_column: each row's language, by whose thresholds it is decided; in place of `profile`.
        bad_rows: whether rows that cannot be read are errors, or left out and written to `OUTPUT.bad.jsonl`.
        overwrite_columns: whether columns that have the names of the added ones are replaced.
        output_format: csv, tsv, jsonl, json or parquet; each its input's when None.
        restart: whether to throw away what an earlier call has done.
        processes: how many, or how many actors on Ray; one a core when None.
        engine: "local", or "ray".
        reading: what is to be said about the tables (docs/data.md): format, encoding, separator, header, columns,
            sheet, quoting.

    Returns:
        What was done, in one line.

    Raises:
        EmotionError: when the bundle, an input or the output cannot be used.
    """
    from serving.bulk.job import Job  # noqa: PLC0415  ONNX Runtime is loaded when something is scored
    from shared.errors import ConfigError  # noqa: PLC0415
    from shared.tables import TableOptions  # noqa: PLC0415

    if engine == "ray":
        from serving.bulk.on_ray import score_files as score  # noqa: PLC0415
    else:
        from serving.bulk.local import score_files as score  # noqa: PLC0415
    if profile is not None and language_column is not None:
        raise ConfigError("give either profile or language_column: each says whose thresholds decide.")
    job = Job(
        fspath(bundle), precision, provider, profile=profile, policy=policy, text_column=text,
        language_column=language_column, overwrite_columns=overwrite_columns,
        reading=TableOptions(**reading, prefix="", tolerant=bad_rows == "aside"),
    )  # fmt: skip
    places = [inputs] if isinstance(inputs, (str, PathLike)) else inputs
    return score(
        job, [fspath(place) for place in places], fspath(output), form=output_format, restart=restart,
        processes=processes,
    )  # fmt: skip


@python_errors({"text_column": "text"})
def score_dataset(dataset: Any, bundle: Place, *, text: str = "text", **options: Any) -> Any:
    """A `ray.data.Dataset` with `predicted_labels` and `p_<label>` after its own columns; lazy, as the others are.

    Args:
        dataset: rows with a column of texts.
        bundle: its folder, on every node.
        text: the column of the texts; an empty or null one has no prediction.
        options: policy, profile, language or language_column, context (the column of the previous turns), precision,
            provider ("cuda" gives every actor a GPU), and the number of `actors`.

    Raises:
        ConfigError: when Ray is not installed, or options do not go together.
    """
    from serving.bulk.ray_dataset import score_dataset as score  # noqa: PLC0415

    return score(dataset, bundle, text=text, **options)
