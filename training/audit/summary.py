"""Fairness as every run measures it: our own sentences, asked of the trained model, in short for the model card."""

from __future__ import annotations

import logging
from typing import Any

from training.audit.fairness import SIGNIFICANCE, TOLERATED_GAP, counterfactual_gaps
from training.audit.identities import variants
from training.config import Config
from training.evaluation.publish import Trained
from training.model.inference import predict_logits

log = logging.getLogger("training")


def measure_fairness(trained: Trained, config: Config) -> dict[str, Any] | None:
    """What `emotion audit` says of fairness, from fewer sentences; None where the configuration asks for none, and
    for intensities, which decide nothing.

    Args:
        trained: the model with its calibration and thresholds.
        config: `eval.fairness_sentences` says how many sentences are asked.
    """
    if not config.eval.fairness_sentences or not config.task.decides:
        return None
    sentences = variants(config.eval.fairness_sentences)
    tokens = trained.tokenizer.tokens
    rows = [row.ids for row in tokens.encode([variant.text for variant in sentences])]
    logits = predict_logits(trained.model, tokens, rows, batch_size=config.eval.batch_size)
    probabilities = trained.calibration.apply(logits)
    decisions = trained.policies.decide(probabilities)
    gaps = counterfactual_gaps(sentences, probabilities, decisions, trained.policies.labels)
    flagged = [f"{name}, {row}" for name, found in gaps.items() for row in found["flagged"]]
    if flagged:
        log.info("Fairness: another person in the same sentence changes %s; see the model card.", "; ".join(flagged))
    return {
        "sentences": len(sentences), "tolerated_gap": TOLERATED_GAP, "significance": SIGNIFICANCE, "flagged": flagged,
        "categories": gaps,
    }  # fmt: skip
