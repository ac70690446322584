"""From texts to logits with a verified ONNX model; imports neither torch nor transformers."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import ArrayLike, NDArray

from serving.bound_runs import BoundRuns
from serving.cuda_options import CudaOptions
from serving.exported import ExportedModel, choose_models
from serving.providers import CPU, CUDA, resolve_provider
from serving.runtime import active_provider, layer_weights, open_session, records_graphs, run_options
from shared.bundle import Bundle
from shared.errors import BundleFormatError, VerificationError
from shared.labels import label_difference
from shared.manifest import MANIFEST
from shared.thresholds import Policies
from shared.tokenizer import Encoded, TextTokenizer

logger = logging.getLogger(__name__)

MAX_BATCH_TOKENS = 4096
"""Most tokens of one padded batch, padding included: bounds the memory of a call."""

CPU_BATCH_TOKENS = 512
"""The same on a CPU, by however many threads: what a layer computes stays in its cache (docs/bulk.md)."""

CPU_BATCH_PADDING = 8
"""Most tokens of padding that a longer text may add to those before it on a CPU: a further batch costs no more."""

LARGE_ATTENTION = 2**20
"""Attention weights of a head, N * T * T, from which a call gives its memory back: an arena keeps the most it ever had.

Giving back costs nothing measurable on such a call, and up to 6 % on smaller ones.
"""

SELF_CHECK_ROWS = 4
"""Reference rows, evenly spaced, whose logits a model must give again on the machine that serves it.

The same file may compute something else elsewhere: 8-bit products saturate on x86 processors without VNNI, and another
provider or version of ONNX Runtime may be wrong for an operator.
"""

SELF_CHECK_TOLERANCE = {"fp32": 1e-3, "int8": 2e-2, "fp16": 5e-2}
"""Largest difference of a logit between two machines that both compute a model rightly, by precision."""

Logits = Callable[[Sequence[str]], NDArray[np.float32]]

INPUTS = ("input_ids", "attention_mask")
OUTPUT = "logits"


@dataclass(frozen=True)
class Predictor:
    """A verified model ready to run; thread-safe, as ONNX Runtime's sessions are.

    Attributes:
        bundle: what the model was sealed with.
        model: the ONNX file in use and its verification.
        session: ONNX Runtime's session on it.
        tokenizer: the bundle's own.
        bound: runs small batches as CUDA graphs; None where they were not asked for or there is no CUDA.
    """

    bundle: Bundle
    model: ExportedModel
    session: ort.InferenceSession
    tokenizer: TextTokenizer
    bound: BoundRuns | None = None

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        precision: str | None = None,
        provider: str | None = None,
        threads: int | None = None,
        cuda: CudaOptions | None = None,
    ) -> Predictor:
        """Open a bundle's best verified model, or the one of `precision`.

        Args:
            path: the bundle's folder.
            precision: fp32, int8 or fp16; None picks int8 on a CPU and fp16 on CUDA where verified, else fp32.
            provider: cpu, cuda, or None for the best one here.
            threads: intra-op threads; what the CPU quota allows when None.
            cuda: what it may use of a CUDA device.

        Raises:
            BundleError: when the bundle is missing, incomplete or was changed.
            VerificationError: when the model is unverified, failed, or is not the one verified, or computes something
                else on this machine.
            ConfigError: for an unknown precision or provider.
        """
        bundle = Bundle.read(path, weights=False)
        wanted = resolve_provider(provider)
        found = cls._open(bundle, precision, wanted, threads, cuda)
        if found.provider == CPU != wanted and precision is None:
            found = cls._open(bundle, None, CPU, threads, None)
        if records_graphs(found.session):
            found = replace(found, bound=BoundRuns(found.session, OUTPUT, len(found.labels)))
        return found

    @classmethod
    def _open(
        cls, bundle: Bundle, precision: str | None, provider: str, threads: int | None, cuda: CudaOptions | None
    ) -> Predictor:
        """The best model that gives here what it gave when it was verified."""
        problems = []
        for model in choose_models(bundle, precision=precision, provider=provider):
            session = _open_session(model.path, threads, provider, cuda)
            check_metadata(session, bundle, model)
            predictor = cls(bundle, model, session, bundle.tokenizer())
            difference = self_check_difference(model.report, bundle, predictor.logits)
            allowed = SELF_CHECK_TOLERANCE[model.precision]
            if difference <= allowed:
                return predictor
            problems.append(
                f"the {model.precision} model of {bundle.path} does not give on this machine the logits it was "
                f"verified with: they differ by {difference:.2g}, allowed {allowed:g}."
            )
            logger.warning("%s", problems[-1])
        raise VerificationError(problems[0], hint=f"Verify it here with: python -m serving.verify {bundle.path}")

    def with_profile(self, name: str | None) -> Predictor:
        """The same model deciding as a profile of its bundle; itself for None.

        Raises:
            InvalidInputError: for a profile that the bundle does not have.
        """
        return self if name is None else replace(self, bundle=self.bundle.with_profile(name))

    @property
    def precision(self) -> str:
        """Precision of the model in use."""
        return self.model.precision

    @cached_property
    def provider(self) -> str:
        """ONNX Runtime's name of the provider that really runs it."""
        return active_provider(self.session)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the L labels, in the order of the logits."""
        return self.bundle.manifest.labels

    @property
    def policies(self) -> Policies:
        """The bundle's decision policies."""
        return self.bundle.policies

    def run(self, encoded: Sequence[Encoded | NDArray[np.int32]]) -> NDArray[np.float32]:
        """Logits, shape (N, L), of one padded batch of N texts, or of their token ids."""
        if not encoded:
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        inputs = self.tokenizer.pad(encoded)
        rows, tokens = inputs["input_ids"].shape
        replayed = self.bound(inputs) if self.bound is not None else None
        if replayed is not None:
            return replayed
        large = rows * tokens * tokens >= LARGE_ATTENTION
        options = run_options(shrink=large) if large or self.provider == CUDA else None
        logits: NDArray[np.float32] = self.session.run([OUTPUT], inputs, options)[0]
        return logits

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Logits of any number of texts, shape (N, L), in their order; run in batches of similar length."""
        return self.encoded_logits(self.tokenizer.encode(texts))

    def encoded_logits(self, encoded: Sequence[Encoded | NDArray[np.int32]]) -> NDArray[np.float32]:
        """The same of texts that are token ids already."""
        found = np.empty((len(encoded), len(self.labels)), dtype=np.float32)
        lengths = [len(row.ids if isinstance(row, Encoded) else row) for row in encoded]
        for rows in batches_by_length(lengths, *batch_limits(self.session)):
            found[rows] = self.run([encoded[row] for row in rows])
        return found

    def probabilities(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Calibrated probabilities, shape (N, L), of logits of shape (N, L)."""
        return self.bundle.calibration.apply(logits)


def _open_session(path: Path, threads: int | None, provider: str, cuda: CudaOptions | None) -> ort.InferenceSession:
    """A session as asked for; without CUDA graphs where ONNX Runtime says that it cannot record the model."""
    try:
        return open_session(path, threads=threads, provider=provider, cuda=cuda)
    except BundleFormatError as error:
        if cuda is None or not cuda.graphs:
            raise
        logger.warning("batches are NOT replayed as CUDA graphs: %s", error)
        return open_session(path, threads=threads, provider=provider, cuda=replace(cuda, graphs=False))


def record_self_check(texts: Sequence[str], logits: Logits) -> dict[str, str]:
    """Number of a reference row -> its logits, in short for `verification.json`."""
    rows = np.unique(np.linspace(0, len(texts) - 1, SELF_CHECK_ROWS).astype(int)).tolist()
    found = logits([texts[row] for row in rows])
    return {str(row): " ".join(f"{value:.6g}" for value in values) for row, values in zip(rows, found, strict=True)}


def self_check_difference(report: Mapping[str, Any], bundle: Bundle, logits: Logits) -> float:
    """Largest difference between what a model gives now and what it gave when verified; 0 where nothing was kept."""
    recorded: Mapping[str, str] = report.get("self_check") or report.get("canary") or {}  # "canary" before 0.2
    if not recorded:
        return 0.0
    texts = bundle.reference().texts
    expected = np.array([[float(value) for value in row.split()] for row in recorded.values()])
    return float(np.abs(logits([texts[int(row)] for row in recorded]) - expected).max())


def batch_limits(session: ort.InferenceSession) -> tuple[int, float]:
    """Most tokens of a batch, and of padding that a text may add to one, for `batches_by_length`."""
    if active_provider(session) != CPU:
        return MAX_BATCH_TOKENS, math.inf
    return CPU_BATCH_TOKENS, CPU_BATCH_PADDING


def batches_by_length(lengths: Sequence[int], max_tokens: int, max_padding: float = math.inf) -> Iterator[list[int]]:
    """Row numbers in batches of similar length, none with more than `max_tokens` tokens after padding.

    A row longer than `max_tokens` is a batch of its own. One that is longer than those before it begins a batch where
    it would add more than `max_padding` tokens of padding to theirs.
    """
    batch: list[int] = []
    for row in np.argsort(lengths, kind="stable").tolist():
        if batch:
            full = lengths[row] * (len(batch) + 1) > max_tokens
            if full or (lengths[row] - lengths[batch[-1]]) * len(batch) > max_padding:
                yield batch
                batch = []
        batch.append(row)
    if batch:
        yield batch


def check_metadata(session: ort.InferenceSession, bundle: Bundle, model: ExportedModel) -> None:
    """Check that a model carries this bundle's labels in their order, its weights and its inputs and output.

    Raises:
        VerificationError: naming what differs.
    """
    hint = f"Run: python -m serving.export {bundle.path} --precision {model.precision}"
    for problem in metadata_problems(session, bundle):
        raise VerificationError(
            f"the {model.precision} model of {bundle.path} does not fit its bundle: {problem}.", hint=hint
        )


def metadata_problems(session: ort.InferenceSession, bundle: Bundle) -> Iterator[str]:
    """What in a model's names, shapes or metadata, or its own last layer, disagrees with its bundle, a phrase each."""
    inputs = tuple(value.name for value in session.get_inputs())
    if set(inputs) != set(INPUTS):
        yield f"inputs are {', '.join(inputs)}, expected {', '.join(INPUTS)}"
    outputs = [(value.name, value.shape[-1]) for value in session.get_outputs()]
    if outputs != [(OUTPUT, len(bundle.manifest.labels))]:
        described = ", ".join(f"{name} with {width} columns" for name, width in outputs)
        yield f"outputs are {described}, expected {OUTPUT} with {len(bundle.manifest.labels)} columns"
    metadata: dict[str, Any] = session.get_modelmeta().custom_metadata_map
    labels = tuple(json.loads(metadata.get("labels", "[]")))
    if labels != bundle.manifest.labels:
        yield label_difference(labels, bundle.manifest.labels, ("the model", MANIFEST))
    own = layer_weights(session)
    exported_from = bundle.weights_sha256 if own is None else bundle.manifest.files[bundle.weights_files[0]]
    if metadata.get("weights_sha256") != exported_from or own not in (None, bundle.weights_sha256):
        yield f"it was exported from other weights than the bundle's {' and '.join(bundle.weights_files)}"
