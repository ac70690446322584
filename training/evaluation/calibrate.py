"""What is fitted and measured on the splits that were held out of training."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from training.calibration.aggregation import fit_aggregation
from training.calibration.languages import fit_language_profiles
from training.calibration.nested import nested_estimate
from training.calibration.policies import fit_policies
from training.calibration.temperature import fit_calibration
from training.config import Config
from training.data.corpus import Corpus, Splits, label_frequencies
from training.evaluation import device
from training.evaluation.by_language import metrics_by_language
from training.evaluation.calibrate_intensities import calibrate_intensities
from training.evaluation.intensity_scoring import ScoredIntensities
from training.evaluation.levels import levels_of
from training.evaluation.publish import Trained
from training.evaluation.scoring import SplitPredictions, score
from training.evaluation.sections import Scored
from training.evaluation.slices import TokenCounts
from training.model.classifier import TokenizerPair
from training.model.inference import predict_logits

log = logging.getLogger("training")


def calibrate_and_evaluate(
    model: Any, tokenizer: TokenizerPair, config: Config, data: Splits
) -> tuple[Trained, list[Scored]] | tuple[Trained, list[ScoredIntensities]]:
    """Calibration and thresholds from dev, then the metrics of every held-out split, all on the CPU in float32.

    These logits are those of the sealed weights on any machine. How far the device of the training is from them is in
    the metrics of dev, as `training_device`.

    Args:
        model: the trained classifier, updates merged; it is moved to the CPU.
        tokenizer: that of the model.
        config: the whole configuration.
        data: the splits.
    """
    if not config.task.decides:
        return calibrate_intensities(model, tokenizer, config, data)
    name = device.device_name(model)
    compared = device.sample_rows(len(data.dev))
    texts = [row.ids for row in tokenizer.tokens.encode([data.dev.texts[i] for i in compared])]
    on_device = device.logits_on_device(model, tokenizer.tokens, texts, batch_size=config.eval.batch_size)
    model = model.to("cpu").float()

    def logits_of(name: str, corpus: Corpus) -> SplitPredictions:
        rows = [row.ids for row in tokenizer.tokens.encode(corpus.texts)]
        return SplitPredictions.of(
            name, corpus, predict_logits(model, tokenizer.tokens, rows, batch_size=config.eval.batch_size)
        )

    log.info("Calibrating on dev%s ...", "" if name == "cpu" else f", on the CPU as the bundle is read, not on {name}")
    dev = logits_of("dev", data.dev)
    calibration = fit_calibration(
        dev.logits, dev.truth, dev.known,
        config=config.calibration, split="dev", activation=config.loss.activation,
    )  # fmt: skip
    policies = fit_policies(
        dev.truth, calibration.apply(dev.logits), dev.known,
        labels=data.labels.names, config=config.calibration, split="dev",
        single_label=config.loss.single_label,
    )  # fmt: skip
    aggregation = fit_aggregation(
        dev.truth, calibration.apply(dev.logits), dev.known,
        labels=data.labels.names, config=config.calibration, split="dev",
        single_label=config.loss.single_label, seed=config.run.seed,
    )  # fmt: skip
    profiles = fit_language_profiles(
        dev.truth, calibration.apply(dev.logits), dev.known, data.dev.languages,
        calibration=calibration, policies=policies, config=config.calibration,
    )  # fmt: skip
    corpora = {"dev": data.dev} if data.test is None else {"dev": data.dev, "test": data.test}
    measure = partial(
        score, calibration=calibration, policies=policies, prior=label_frequencies(data.train),
        samples=config.eval.bootstrap_samples, seed=config.run.seed,
    )  # fmt: skip
    scored = []
    for split_name, corpus in corpora.items():
        split = dev if split_name == "dev" else logits_of(split_name, corpus)
        tokens = TokenCounts.of(corpus.texts, tokenizer.tokens)
        metrics = measure(split)
        item = Scored.of(split, metrics, calibration, policies, corpus=corpus, tokens=tokens)
        metrics["levels"] = levels_of(
            item.rows, item.thresholds, policies.labels, samples=config.eval.bootstrap_samples, seed=config.run.seed
        )
        metrics["languages"] = metrics_by_language(
            item.rows, corpus.languages, policies.labels, profiles,
            calibration=calibration, single_label=config.loss.single_label,
        )  # fmt: skip
        scored.append(item)
    metrics_of: dict[str, Any] = {item.name: item.metrics for item in scored}
    if config.loss.task == "multi_label":
        metrics_of["dev"]["nested"] = nested_estimate(dev.logits, dev.truth, dev.known, config=config.calibration)
    metrics_of["dev"]["training_device"] = device.compare_devices(
        name, on_device, dev.logits[compared], calibration, policies
    )
    return Trained(model, tokenizer, calibration, policies, metrics_of, dev, aggregation, profiles), scored
