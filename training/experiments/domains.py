"""Trained on one corpus, tested on another: every bundle on every corpus, over the labels that both have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.bundle import Bundle
from shared.errors import ConfigError, DataNotFoundError
from shared.task import require_labels
from training.config.data import SourceConfig
from training.config.evaluate import DomainsOptions, EvaluateOptions
from training.data.languages import languages_of
from training.data.sources import read_source
from training.data.sources.base import TRAIN
from training.evaluation.evaluate_bundle import evaluate_bundle
from training.evaluation.inference import trained_logits
from training.experiments.results import as_text, write_plot, write_results

METRICS = ("macro_f1", "micro_f1", "macro_ap", "brier", "nll")


def run_domains(bundles: Sequence[str], options: DomainsOptions) -> str:
    """Evaluate every bundle on every corpus and write table, matrix and plot; the text is returned.

    With `each_language` every language of a corpus is a column, marked where the bundle was trained on rows in it: the
    table of cross-lingual transfer. Of a corpus with official splits test is taken, or dev where there is no test. A
    corpus that a bundle was trained on is marked: what it says there is no out-of-domain result. A table is known by
    the name of its file, any other corpus by its kind.

    Args:
        bundles: folders of bundles, or of runs.
        options: the corpora in `data.sources`, and where to write.

    Raises:
        ConfigError: without bundles or corpora.
        BundleError: when a bundle cannot be used.
        DataError: when a corpus cannot be used.
    """
    sources = options.data.resolved_sources()
    if not bundles or not options.data.sources:
        raise ConfigError(
            f"out-of-domain results need bundles and corpora, and got {len(bundles)} and {len(options.data.sources)}.",
            hint="Name bundles, and list the corpora in data.sources of a file for --config.",
        )
    parts = [part for source in sources for part in _parts(source, options)]
    names = _numbered([" ".join(filter(None, (source.kind, _file_name(source.path), code))) for source, code in parts])
    rows = []
    for word in bundles:
        path = Path(word) / "bundle" if (Path(word) / "bundle" / "bundle.json").is_file() else Path(word)
        bundle = Bundle.read(path)
        require_labels(bundle.task, "emotion domains")
        logits = trained_logits(bundle, batch_size=options.batch_size, threads=options.threads)
        provenance = bundle.manifest.provenance.get("data", {}).get("sources", [])
        trained_on = {_identity(source["kind"], source.get("origin")) for source in provenance}
        trained_in = bundle.manifest.provenance.get("data", {}).get("languages", {}).get(TRAIN, {})
        for name, (source, code) in zip(names, parts, strict=True):
            data = replace(options.data, sources=[source], languages=[code] if code else options.data.languages)
            result = _evaluate(path, data, options, logits)
            rows.append({
                "model": word, "corpus": name,
                "split": result["split"],
                "in_domain": code in trained_in if code else _identity(source.kind, source.path) in trained_on,
                **({"language": code} if code else {}),
                "rows": result["rows"]["scored"], "labels": len(result["labels_scored"]),
                **{name: result[name] for name in METRICS},
                "_interval": result.get("intervals", {}).get("macro_f1"),
            })  # fmt: skip
    return _write(Path(options.output), rows)


def _parts(source: SourceConfig, options: DomainsOptions) -> list[tuple[SourceConfig, str | None]]:
    """The corpus, or each of its languages.

    Raises:
        ConfigError: when languages are asked for, and those of its rows are not known.
    """
    if not options.each_language:
        return [(source, None)]
    raw = read_source(source)
    found = sorted({code for split in raw.splits.values() for code in languages_of(split, raw) or ()} - {""})
    if not found:
        raise ConfigError(
            f"each_language is true, and the language of the rows of {raw.kind} {raw.origin} is not known.",
            hint="Name it with language, or the column that says it with language_column.",
        )
    return [(source, code) for code in found]


def _file_name(path: str | None) -> str:
    return Path(path).absolute().name if path else ""


def _identity(kind: str, path: str | None) -> tuple[str, str]:
    """What makes two corpora the same one, wherever they lie."""
    return kind, _file_name(path) if kind == "table" else ""


def _numbered(names: Sequence[str]) -> list[str]:
    """The names, with a number behind those that were there before."""
    return [
        f"{name} ({count})" if (count := names[: place + 1].count(name)) > 1 else name
        for place, name in enumerate(names)
    ]


def _evaluate(path: Path, data: Any, options: DomainsOptions, logits: Any) -> dict[str, Any]:
    wanted = EvaluateOptions(data=data, level=options.level, bootstrap_samples=options.bootstrap_samples)
    try:
        return evaluate_bundle(path, wanted, logits=logits)
    except DataNotFoundError:
        if data.split is not None:
            raise
        return evaluate_bundle(path, replace(wanted, data=replace(data, split="dev")), logits=logits)


def _write(folder: Path, rows: list[dict[str, Any]]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    intervals = {f"{row['model']} on {row['corpus']}": row.pop("_interval") for row in rows}
    values = {f"{row['model']} on {row['corpus']}": row["macro_f1"] for row in rows}
    write_plot(
        folder, values, label="macro F1 over shared labels",
        intervals={name: interval for name, interval in intervals.items() if interval},
    )  # fmt: skip
    corpora = list(dict.fromkeys(row["corpus"] for row in rows))
    matrix = []
    for bundle in dict.fromkeys(row["model"] for row in rows):
        cells = {row["corpus"]: row for row in rows if row["model"] == bundle}
        matrix.append({"model": bundle, **{name: _cell(cells[name]) for name in corpora}})
    of_what = "language" if any("language" in row for row in rows) else "corpus"
    lines = ["", f"macro F1, rows trained on, columns tested on (* the {of_what} is one of the bundle's)",
             as_text(matrix, ["model", *corpora])]  # fmt: skip
    return write_results(folder, rows, lines=lines, matrix=matrix)


def _cell(row: dict[str, Any]) -> str:
    return f"{row['macro_f1']:.4f}{'*' if row['in_domain'] else ''}"
