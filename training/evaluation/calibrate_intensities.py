"""What is fitted and measured after training in the task intensity: cuts, intervals from dev, metrics of every split.

Shapes: N rows, L labels.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.calibration import Calibration
from shared.thresholds import Policies
from training.calibration.conformal import fit_readout
from training.config import Config
from training.data.corpus import Corpus, Splits
from training.evaluation import device
from training.evaluation.intensity_scoring import ScoredIntensities, score_intensities, scored_of
from training.evaluation.publish import Trained
from training.evaluation.scoring import SplitPredictions
from training.model.classifier import TokenizerPair
from training.model.cumulative import take_cuts
from training.model.inference import predict_logits

log = logging.getLogger("training")


def calibrate_intensities(
    model: Any, tokenizer: TokenizerPair, config: Config, data: Splits
) -> tuple[Trained, list[ScoredIntensities]]:
    """Cuts out of the network, intervals from dev, then the metrics of every held-out split, on the CPU in float32.

    Args:
        model: the trained classifier, updates merged; it is moved to the CPU, and ends with a plain head.
        tokenizer: that of the model.
        config: the whole configuration.
        data: the splits.
    """
    assert data.scale is not None
    name, labels = device.device_name(model), data.labels.names
    model = model.to("cpu").float()
    cuts = take_cuts(model)

    def logits_of(corpus: Corpus) -> NDArray[np.float32]:
        rows = [row.ids for row in tokenizer.tokens.encode(corpus.texts)]
        return predict_logits(model, tokenizer.tokens, rows, batch_size=config.eval.batch_size)

    log.info(
        "Fitting intervals on dev%s ...", "" if name == "cpu" else f", on the CPU as the bundle is read, not on {name}"
    )
    dev_logits = logits_of(data.dev)
    readout = fit_readout(
        dev_logits, data.dev.targets, data.dev.known,
        labels=labels, scale=data.scale, cuts=cuts, level=config.calibration.interval_level, split="dev",
    )  # fmt: skip
    wide = [name for name, width in zip(labels, readout.half_widths, strict=True) if not np.isfinite(width)]
    if wide:
        log.warning("Too few rows of dev annotate %s for intervals: theirs are the whole scale.", ", ".join(wide))
    mean_shares = _means(data.train)
    scored = []
    for split, corpus in {"dev": data.dev, "test": data.test}.items():
        if corpus is None:
            continue
        logits = dev_logits if split == "dev" else logits_of(corpus)
        metrics = score_intensities(
            corpus, logits, readout,
            mean=mean_shares, samples=config.eval.bootstrap_samples, seed=config.run.seed,
        )  # fmt: skip
        scored.append(scored_of(split, corpus, logits, readout, metrics))
    dev = SplitPredictions.of("dev", data.dev, dev_logits)
    trained = Trained(
        model, tokenizer, Calibration.identity(len(labels)), Policies.nothing(labels),
        {item.name: item.metrics for item in scored}, dev, readout=readout,
    )  # fmt: skip
    return trained, scored


def _means(corpus: Corpus) -> NDArray[np.float64]:
    """Mean share of every label over the rows that annotate it, shape (L,); a half where none does."""
    count = corpus.known.sum(axis=0)
    total = (corpus.targets * corpus.known).sum(axis=0, dtype=np.float64)
    return np.asarray(np.divide(total, count, out=np.full(len(count), 0.5), where=count > 0))
