"""`emotion adapt BUNDLE`: a child that fits your texts, from few labelled rows, from frequencies, or from texts alone.

At the level thresholds the network stays as it is: temperatures, label priors and every threshold policy are fitted
again, on the precision that is served. The level head refits the last layer too; neither needs torch.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from shared.errors import ConfigError
from shared.task import require_labels
from training.config.data import SourceKind
from training.config.evaluate import EvaluationData
from training.config.parser import parse_options
from training.config.types import NonNegativeInt, PositiveInt, Seed

if TYPE_CHECKING:
    from serving.predictor import Predictor

T = TypeVar("T")

DESCRIPTION = """Make a child bundle whose decisions fit your texts; the last line on stdout is one JSON object.

Give labelled rows (--data FILE), the share of texts that carry each label (--frequencies
F.yaml), texts without labels (--unlabelled FILE), or several of them.

--suggest N FILE makes no child: it writes N texts of FILE, spread over all of them, into a table to fill in."""


@dataclass(frozen=True)
class RowsToAdaptTo(EvaluationData):
    """Labelled rows; without a path there are none."""

    source: SourceKind = "table"
    """Kind of the corpus."""
    split: Literal["train", "dev", "test", "all"] = "all"
    """The split; "all" takes every row of a corpus without official splits."""


@dataclass(frozen=True)
class AdaptOptions:
    """Options of `emotion adapt`."""

    data: RowsToAdaptTo = field(default_factory=RowsToAdaptTo)
    """Labelled rows; cells that nobody annotated are welcome."""
    frequencies: str | None = None
    """YAML file: label -> share of the texts that carry it, between 0 and 1; labels left out are not touched."""
    unlabelled: str | None = None
    """Table with a column of texts, from which the frequencies are estimated."""
    text_column: str | None = None
    """The column of texts of `unlabelled`; "text", or the only column, when left out."""
    level: Literal["thresholds", "head", "full", "compare"] = "thresholds"
    """What is fitted: the decisions alone; the last layer too; every weight (needs torch, and minutes); or no child,
    but a table of what each of the three brings on the labelled rows."""
    folds: NonNegativeInt = 5
    """Levels full and compare: runs of the cross-validation of training further; 0 leaves its estimate out."""
    suggest: PositiveInt | None = None
    """Number of texts of `unlabelled` to suggest for labelling."""
    profile: str | None = None
    """Name of the profile to make: these decisions then stand beside the bundle's own, which stay its default; one of
    this name that the bundle has is adapted further."""
    output: str | None = None
    """Folder of the child bundle; when left out the parent's name with "-adapted", beside the parent, of one from the
    hub in the working folder. With `suggest` the table to write; the name of the texts with "-suggested.csv" when left
    out."""
    precision: Literal["fp32", "int8", "fp16"] | None = None
    """The exported model whose logits count; the one that is served here when left out."""
    threads: int | None = None
    """CPU threads; what the machine or the container allows when left out."""
    seed: Seed = 0
    """Of the folds of the cross-validation, and of the draw of the texts that are suggested."""


def main(argv: Sequence[str]) -> int:
    """Adapt the bundle that the command line names."""
    options, (bundle,) = parse_options(
        AdaptOptions,
        _written_out(argv),
        prog="emotion adapt",
        description=DESCRIPTION,
        positionals={"bundle": "Folder of the bundle, or hf://owner/name for one on the hub."},
        environment=False,
    )
    from emotion_classifiers.hub import local_folder  # noqa: PLC0415  (the help needs none of these)
    from serving.predictor import Predictor  # noqa: PLC0415

    predictor = Predictor.load(local_folder(bundle), precision=options.precision, threads=options.threads)
    content, page = adapt_predictor(predictor, options)
    sys.stdout.write(f"{page}\n{json.dumps(content, ensure_ascii=False)}\n")
    return 0


def _written_out(argv: Sequence[str]) -> list[str]:
    """`--data FILE` is short for `--data.path FILE`, and `--suggest N FILE` for `--suggest N --unlabelled FILE`."""
    words = ["--data.path" if word == "--data" else word.replace("--data=", "--data.path=", 1) for word in argv]
    if "--suggest" in words[:-2]:
        place = words.index("--suggest") + 2
        if not words[place].startswith("--"):
            words.insert(place, "--unlabelled")
    return words


def adapt_data(predictor: Predictor, given: InHand, options: Mapping[str, Any]) -> Path:
    """Folder of a child bundle adapted to data in hand; see `Model.adapt`."""
    if "suggest" in options or options.get("level") == "compare":
        raise ConfigError(
            "adapt makes a child.", hint="Call suggest for texts to label; levels are compared by `emotion adapt`."
        )
    with tempfile.TemporaryDirectory(prefix="emotion-") as folder:
        content, _ = _with_data(predictor, given, options, Path(folder), adapt_predictor)
    return Path(content["bundle"])


def suggest_texts(predictor: Predictor, given: InHand, options: Mapping[str, Any]) -> list[str]:
    """Texts in hand to label; see `Model.suggest`."""
    from emotion_classifiers.adapting.suggest import choose_texts  # noqa: PLC0415

    if "output" in options:
        raise ConfigError("suggest writes no table.", hint="Write the texts that it returns.")

    def chosen(predictor: Predictor, parsed: AdaptOptions) -> list[str]:
        assert parsed.suggest is not None
        return choose_texts(_checked(predictor, parsed), parsed, parsed.suggest)[1]

    with tempfile.TemporaryDirectory(prefix="emotion-") as folder:
        return _with_data(predictor, given, options, Path(folder), chosen)


@dataclass(frozen=True)
class InHand:
    """What a call from Python was given, see `Model.adapt`."""

    data: Any
    text: str | None
    labels: str | Sequence[str] | None
    unlabelled: Any
    frequencies: Any


def _with_data(
    predictor: Predictor, given: InHand, options: Mapping[str, Any], folder: Path,
    use: Callable[[Predictor, AdaptOptions], T],
) -> T:  # fmt: skip
    """What `use` makes of the data and options; `folder` holds the data for the readers meanwhile."""
    from emotion_classifiers.data import (  # noqa: PLC0415  (--help does not wait for it)
        arguments,
        as_given,
        frequencies_option,
        options_for,
        texts_option,
    )

    with as_given(folder):
        named = options_for(given.data, folder, text=given.text, labels=given.labels)
        if given.unlabelled is not None:
            named["unlabelled"] = texts_option(given.unlabelled, folder)
        if given.frequencies is not None:
            named["frequencies"] = frequencies_option(given.frequencies, folder)
        parsed, _ = parse_options(
            AdaptOptions, arguments({**named, **options}), prog="adapt", description="", environment=False
        )
        return use(predictor, parsed)


def adapt_predictor(predictor: Predictor, options: AdaptOptions) -> tuple[dict[str, Any], str]:
    """Do what the options ask for; what came of it as one JSON object, and in words.

    Raises:
        EmotionError: for every mistake a user can fix.
    """
    predictor = _checked(predictor, options)
    if options.suggest is not None:
        from emotion_classifiers.adapting.suggest import suggest_rows  # noqa: PLC0415

        return suggest_rows(predictor, options, options.suggest)
    from emotion_classifiers.adapting.levels import compare_levels, make_child  # noqa: PLC0415

    return (compare_levels if options.level == "compare" else make_child)(predictor, options)


def _checked(predictor: Predictor, options: AdaptOptions) -> Predictor:
    """The predictor to adapt: with the profile that is named, where it is there already."""
    require_labels(predictor.bundle.task, "emotion adapt")
    _check(options)
    return predictor.with_profile(options.profile) if options.profile in predictor.bundle.profiles else predictor


def _check(options: AdaptOptions) -> None:
    labelled = options.data.path is not None or bool(options.data.sources)
    if options.level != "thresholds" and not labelled:
        raise ConfigError(f"the level {options.level} needs labelled rows.", hint="Give them with --data.")
    if options.level in ("head", "full") and options.profile is not None:
        raise ConfigError(
            f"a profile shares the bundle's network, which the level {options.level} changes.",
            hint="Leave --profile out, or use the level thresholds.",
        )
    if options.level == "full" and (options.frequencies or options.unlabelled):
        raise ConfigError(
            "the level full takes labelled rows alone.", hint="Adapt its child to frequencies or texts afterwards."
        )
    if options.suggest is not None and options.unlabelled is None:
        raise ConfigError("--suggest needs texts.", hint="For example: --suggest 50 texts.csv")
    if options.text_column is not None and options.unlabelled is None:
        raise ConfigError(
            "--text_column names the column of --unlabelled, which is not given.",
            hint="The column of labelled rows is --data.text_column.",
        )
    if options.folds == 1:
        raise ConfigError("folds is 1; allowed: 0, or 2 and more.")
