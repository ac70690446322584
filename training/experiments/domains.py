"""Trained on one corpus, tested on another: every bundle on every corpus, over the labels that both have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.bundle import Bundle
from shared.errors import ConfigError, DataNotFoundError
from training.config.evaluate import DomainsOptions, EvaluateOptions
from training.evaluation.evaluate_bundle import evaluate_bundle
from training.evaluation.inference import trained_logits
from training.experiments.results import as_text, write_plot, write_results

METRICS = ("macro_f1", "micro_f1", "macro_ap", "brier", "nll")


def run_domains(bundles: Sequence[str], options: DomainsOptions) -> str:
    """Evaluate every bundle on every corpus and write table, matrix and plot; the text is returned.

    Of a corpus with official splits test is taken, or dev where there is no test. A corpus that a bundle was trained on
    is marked: what it says there is no out-of-domain result. A table is known by the name of its file, any other
    corpus by its kind.

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
    names = _numbered([f"{source.kind} {_file_name(source.path)}".strip() for source in sources])
    rows = []
    for word in bundles:
        path = Path(word) / "bundle" if (Path(word) / "bundle" / "bundle.json").is_file() else Path(word)
        bundle = Bundle.read(path)
        logits = trained_logits(bundle, batch_size=options.batch_size, threads=options.threads)
        provenance = bundle.manifest.provenance.get("data", {}).get("sources", [])
        trained_on = {_identity(source["kind"], source.get("origin")) for source in provenance}
        for name, source in zip(names, sources, strict=True):
            result = _evaluate(path, replace(options.data, sources=[source]), options, logits)
            rows.append({
                "model": word, "corpus": name,
                "split": result["split"], "in_domain": _identity(source.kind, source.path) in trained_on,
                "rows": result["rows"]["scored"], "labels": len(result["labels_scored"]),
                **{name: result[name] for name in METRICS},
                "_interval": result.get("intervals", {}).get("macro_f1"),
            })  # fmt: skip
    return _write(Path(options.output), rows)


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
    lines = ["", "macro F1, rows trained on, columns tested on (* the corpus is one of the bundle's)",
             as_text(matrix, ["model", *corpora])]  # fmt: skip
    return write_results(folder, rows, lines=lines, matrix=matrix)


def _cell(row: dict[str, Any]) -> str:
    return f"{row['macro_f1']:.4f}{'*' if row['in_domain'] else ''}"
