"""The answers of all peers that run our model: the same tokens, calibration, thresholds and form as the service's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving.batching.jobs import Row
from serving.http.responses import result, rules_for
from serving.http.schemas import PredictRequest
from serving.predictor import Predictor, batches_by_length


class Answerer:
    """A predictor with the default policy of its bundle.

    Args:
        bundle: its folder, exported and verified.
        threads: CPU threads of one run of the model.
    """

    def __init__(self, bundle: Path, *, threads: int, precision: str | None = None) -> None:
        self.predictor = Predictor.load(bundle, threads=threads, precision=precision)
        self._rules = rules_for(PredictRequest(texts=[""]), self.predictor.bundle)

    def answer(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """One result for each text, in order; run in batches of similar length."""
        predictor = self.predictor
        encoded = predictor.tokenizer.encode(texts)
        results: list[dict[str, Any]] = [{}] * len(encoded)
        for rows in batches_by_length([len(row.ids) for row in encoded]):
            probabilities = predictor.probabilities(predictor.run([encoded[row] for row in rows]))
            for row, values in zip(rows, probabilities, strict=True):
                answered = Row(values, encoded[row].num_tokens, encoded[row].truncated)
                results[row] = result(answered, self._rules, predictor.bundle)
        return results
