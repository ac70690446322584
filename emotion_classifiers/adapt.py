"""`emotion adapt BUNDLE`: decisions that fit your texts, from few labelled rows, from frequencies, or from texts alone.

The network stays as it is: temperatures, label priors and every threshold policy are fitted again, on the precision
that is served, and sealed in a child bundle. Needs no torch.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from shared.errors import ConfigError, DataFormatError, DataNotFoundError
from training.config.data import SourceKind
from training.config.evaluate import EvaluationData
from training.config.parser import parse_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from serving.predictor import Predictor
    from shared.profiles import DriftReference
    from training.adapting.adapt import Adapted, Estimate, Evidence
    from training.data.corpus import Corpus
    from training.data.load import EvaluationRows

DESCRIPTION = """Make a child bundle whose decisions fit your texts; the last line on stdout is one JSON object.

Give labelled rows (--data FILE), the share of texts that carry each label (--frequencies
F.yaml), texts without labels (--unlabelled FILE), or several of them."""


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
    profile: str | None = None
    """Name of the profile to make: these decisions then stand beside the bundle's own, which stay its default."""
    output: str | None = None
    """Folder of the child bundle; the parent's name with "-adapted" when left out."""
    precision: Literal["fp32", "int8", "fp16"] | None = None
    """The exported model whose logits count; the one that is served here when left out."""
    threads: int | None = None
    """CPU threads; what the machine or the container allows when left out."""
    seed: int = 0
    """Of the folds of the cross-validation."""


def main(argv: Sequence[str]) -> int:
    """Adapt the bundle that the command line names."""
    options, (bundle,) = parse_options(
        AdaptOptions,
        _with_path(argv),
        prog="emotion adapt",
        description=DESCRIPTION,
        positionals={"bundle": "Folder of the bundle, or hf://owner/name for one on the hub."},
    )
    from emotion_classifiers.hub import local_folder  # noqa: PLC0415  (the help needs none of these)
    from serving.predictor import Predictor  # noqa: PLC0415

    predictor = Predictor.load(local_folder(bundle), precision=options.precision, threads=options.threads)
    content, page = adapt_predictor(predictor, options)
    sys.stdout.write(f"{page}\n{json.dumps(content, ensure_ascii=False)}\n")
    return 0


def _with_path(argv: Sequence[str]) -> list[str]:
    """`--data FILE` is short for `--data.path FILE`."""
    return [
        "--data.path" if word == "--data" else word.replace("--data=", "--data.path=", 1) for word in argv
    ]  # fmt: skip


def adapt_data(
    predictor: Predictor,
    data: Any,
    *,
    text: str | None,
    labels: str | Sequence[str] | None,
    options: Mapping[str, Any],
) -> Path:
    """Folder of a child bundle adapted to data in hand; see `Model.adapt`."""
    from emotion_classifiers.data import arguments, options_for  # noqa: PLC0415  (--help does not wait for it)

    with tempfile.TemporaryDirectory(prefix="emotion-") as folder:
        given = options_for(data, Path(folder), text=text, labels=labels)
        parsed, _ = parse_options(AdaptOptions, arguments({**given, **options}), prog="adapt", description="")
        content, _ = adapt_predictor(predictor, parsed)
    return Path(content["bundle"])


def adapt_predictor(predictor: Predictor, options: AdaptOptions) -> tuple[dict[str, Any], str]:
    """Make the child; what it is as one JSON object, and in words."""
    from training.adapting.adapt import adapt, check_evidence, estimate  # noqa: PLC0415  (scipy)
    from training.adapting.child import parent_of, write_child  # noqa: PLC0415

    bundle = predictor.bundle
    read = _labelled(options, predictor)
    corpus = None if read is None else read.rows
    texts = [] if options.unlabelled is None else read_unlabelled(Path(options.unlabelled), options.text_column)
    evidence = _evidence(predictor, options, corpus, texts)
    parent = parent_of(bundle)
    check_evidence(parent, evidence)
    adapted = adapt(parent, evidence, options.seed)
    if read is not None:
        adapted = replace(adapted, notes=(*read.notes, *adapted.notes))
    estimated = estimate(parent, evidence, options.seed) if corpus is not None else None
    target = Path(options.output or bundle.path.absolute().with_name(f"{bundle.path.absolute().name}-adapted"))
    origin = {
        "precision": predictor.precision, "seed": options.seed, "rows": len(evidence.logits),
        "unlabelled_texts": len(evidence.unlabelled),
        "data_fingerprint": corpus.fingerprint if corpus is not None else None,
    }  # fmt: skip
    child = write_child(
        bundle, target, adapted, evidence, estimate=estimated, origin=origin, profile=options.profile,
        drift=_drift(predictor, [*([] if corpus is None else corpus.texts), *texts], evidence),
    )  # fmt: skip
    _recheck(child.path, predictor)
    content = {
        "bundle": str(child.path), "seal": child.seal, "parent": bundle.seal, "kept_parent": adapted.kept,
        "profile": options.profile, "fitted_on": adapted.policies.fitted_on, "notes": list(adapted.notes),
        "macro_f1": None if estimated is None else {name: list(row) for name, row in estimated.macro_f1.items()},
        **origin,
    }  # fmt: skip
    return content, _page(adapted, estimated, evidence, child.path)


def _recheck(path: Path, predictor: Predictor) -> None:
    """Open the child as the service would: its files, its seal, and the logits its model was verified with."""
    from serving.predictor import Predictor as Opened  # noqa: PLC0415

    Opened.load(path, precision=predictor.precision)


def _page(adapted: Adapted, estimated: Estimate | None, evidence: Evidence, path: Path) -> str:
    from training.adapting.child import described  # noqa: PLC0415

    parts = list(adapted.notes)
    if estimated is not None:
        parts += ["On the labelled rows, each decided without itself (nested cross-validation):", described(estimated)]
        if adapted.kept:
            parts.append(f"{len(evidence.logits)} rows gave no reason to change what was there: it is kept.")
    return "\n\n".join([*parts, f"Written to {path}."])


def _labelled(options: AdaptOptions, predictor: Predictor) -> EvaluationRows | None:
    if options.data.path is None and not options.data.sources:
        return None
    from training.data.load import load_eval_split  # noqa: PLC0415  (pandas)

    labels = predictor.bundle.label_set
    return load_eval_split(options.data, options.data.split, labels, ids_are_positions=options.data.ids_of_bundle)


def _drift(predictor: Predictor, texts: list[str], evidence: Evidence) -> DriftReference | None:
    """What a window of traffic is compared with, of texts in the order of the evidence; evenly spaced where many."""
    import numpy as np  # noqa: PLC0415

    from shared.profiles import MAX_DRIFT_TEXTS  # noqa: PLC0415
    from shared.profiles import DriftReference as Reference  # noqa: PLC0415

    if not texts:
        return None
    logits = np.concatenate([evidence.logits, evidence.unlabelled])
    rows = np.unique(np.linspace(0, len(texts) - 1, MAX_DRIFT_TEXTS).astype(np.int64))
    encoded = predictor.tokenizer.encode([texts[row] for row in rows])
    lengths = np.array([row.num_tokens for row in encoded], np.int32)
    return Reference(logits[rows].astype(np.float32), lengths)


def _evidence(predictor: Predictor, options: AdaptOptions, corpus: Corpus | None, texts: list[str]) -> Evidence:
    import numpy as np  # noqa: PLC0415

    from training.adapting.adapt import Evidence as Known  # noqa: PLC0415

    def logits(texts: list[str]) -> NDArray[np.float64]:
        return predictor.logits(texts).astype(np.float64)

    nothing = np.zeros((0, len(predictor.labels)), dtype=bool)
    return Known(
        logits([] if corpus is None else corpus.texts),
        nothing if corpus is None else corpus.hard_targets,
        nothing if corpus is None else corpus.known,
        unlabelled=logits(texts),
        frequencies=read_frequencies(options.frequencies, predictor.labels),
    )


def read_unlabelled(path: Path, column: str | None) -> list[str]:
    """Texts of a table.

    Raises:
        DataError: when the file cannot be read.
        DataFormatError: when the column is not there.
    """
    from shared.tables import open_table  # noqa: PLC0415

    rows = open_table(path).read_all().columns
    name = column or ("text" if "text" in rows or len(rows) != 1 else next(iter(rows)))
    if name not in rows:
        raise DataFormatError(
            f"{path} has no column '{name}' (columns: {', '.join(rows)}).", hint="Name the column with --text_column."
        )
    return [str(text) for text in rows[name] if text is not None and str(text).strip()]


def read_frequencies(path: str | None, labels: Sequence[str]) -> NDArray[np.float64]:
    """Share of the texts that carry each label, shape (L,), NaN where the file says nothing.

    Raises:
        DataNotFoundError: when there is no such file.
        ConfigError: for an unknown label or a share that is none; says which.
    """
    import numpy as np  # noqa: PLC0415
    import yaml  # noqa: PLC0415

    found = np.full(len(labels), np.nan)
    if path is None:
        return found
    if not Path(path).is_file():
        raise DataNotFoundError(f"there is no file of frequencies at {path}.")
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())[:200]}.") from None
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"{path} holds no frequencies.", hint="Write one line a label, like joy: 0.3")
    for label, share in content.items():
        if label not in labels:
            near = get_close_matches(str(label), labels, n=1)
            raise ConfigError(f"{path}: unknown label '{label}'.", hint=f"Did you mean '{near[0]}'?" if near else None)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise ConfigError(f"{path}: the share of '{label}' is {share!r}; allowed: a number between 0 and 1.")
        found[labels.index(label)] = share
    return found
