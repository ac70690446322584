"""The bundle of a run, with its report and model card; no path of this machine is in them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from shared.bundle import Bundle
from training.config import Config
from training.data.corpus import Splits
from training.distillation import describe_teachers
from training.evaluation.intensity_card import render_intensity_card
from training.evaluation.intensity_report import render_intensity_report
from training.evaluation.intensity_scoring import ScoredIntensities
from training.evaluation.model_card import render_model_card
from training.evaluation.publish import Trained, describe_origin, publish
from training.evaluation.report import render_report
from training.evaluation.sections import Scored
from training.loop.train import Progress
from training.model.classifier import pooling_of
from training.runtime import processes
from training.runtime.run_folder import RunFolder


def publish_run(
    folder: RunFolder,
    trained: Trained,
    scored: list[Scored] | list[ScoredIntensities],
    *,
    config: Config,
    data: Splits,
    progress: Progress,
    fairness: Mapping[str, Any] | None = None,
) -> Bundle:
    """Report, model card and the sealed bundle.

    Args:
        folder: of the run.
        trained: the model with what was fitted on dev.
        scored: the held-out splits with their metrics.
        config: the whole configuration.
        data: the splits.
        progress: how training went.
        fairness: as `audit.summary.measure_fairness` gives it.

    Raises:
        ModelError: when the model read back is not the trained one.
    """
    training = {
        "steps": progress.steps, "best_step": progress.best_step, "processes": processes.world_size(),
        **describe_teachers(config.distill),
    }  # fmt: skip
    names = path_names(config, data)
    provenance = portable(describe_origin(config, data, training), names)
    resolved = portable(config.to_dict(), names)
    title = f"{config.run.name}: {config.model.name}"
    subtitle = (
        f"{config.tuning.method} tuning, {pooling_of(config.model)} pooling; weights of step {progress.best_step} of "
        f"{progress.steps}; {provenance['created']}"
    )
    origin: dict[str, Any] = {
        "data_lines": portable(data.report.lines(), names),
        "details": {
            "Configuration": yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True),
            "Provenance": yaml.safe_dump(provenance, sort_keys=False, allow_unicode=True),
        },
    }
    if trained.readout is not None:
        intensities = cast("list[ScoredIntensities]", scored)
        report = render_intensity_report(title, subtitle, intensities, **origin)
        card = render_intensity_card(config, data, intensities, trained.readout, trained.tokenizer.tokens)
    else:
        labelled = cast("list[Scored]", scored)
        report = render_report(
            title, subtitle, labelled, texts=config.eval.show_texts,
            train_support=data.train.support(data.labels), history=progress.history, **origin,
        )  # fmt: skip
        tokens = trained.tokenizer.tokens
        card = render_model_card(config, data, labelled, trained.policies, tokens, fairness=fairness)
    pages = {
        "report.html": report, "README.md": portable(card, names),
        "training.yaml": yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True),
    }  # fmt: skip
    if fairness is not None:
        pages["fairness.json"] = json.dumps(fairness, indent=2, ensure_ascii=False)
    return publish(folder.bundle, trained, config=config, data=data, pages=pages, provenance=provenance)


def path_names(config: Config, data: Splits) -> dict[str, str]:
    """Absolute paths of this run -> what a bundle says in their place: relative to the working folder, or the name."""
    here = Path.cwd()
    given = {*_texts(config.to_dict()), *(info.origin for info in data.sources)}
    absolute = sorted((text for text in given if Path(text).expanduser().is_absolute()), key=len, reverse=True)
    paths = {text: Path(text).expanduser() for text in absolute}
    names = {t: str(p.relative_to(here)) if p.is_relative_to(here) else p.name or p.anchor for t, p in paths.items()}
    return {**names, f"{here}/": ""}


def portable(value: Any, names: Mapping[str, str]) -> Any:
    """Nested plain values with the paths in every text replaced by their names."""
    if isinstance(value, Mapping):
        return {key: portable(inner, names) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(inner, names) for inner in value]
    if isinstance(value, str):
        for path, name in names.items():
            value = value.replace(path, name)
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
