"""A verified bundle, ready to predict: the numbers that the service gives, without a service and without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from emotion_classifiers.hub import local_folder
from emotion_classifiers.metrics import IntensityMetrics, Metrics, evaluate
from emotion_classifiers.prediction import Prediction
from emotion_classifiers.texts import listed
from emotion_classifiers.wording import python_errors
from serving.batching.jobs import Row
from serving.complaints import describe
from serving.http.reading import check_request
from serving.http.schemas import NO_LIMIT, PredictRequest, check_text
from serving.local_reading import answers, read_here
from serving.predictor import Predictor
from serving.text_checks import TextChecks
from shared.context import Context
from shared.errors import InvalidInputError
from shared.intensity import Scale
from shared.profiles import for_language
from shared.segments import Segmentation

if TYPE_CHECKING:
    from emotion_classifiers.conversation import Conversation

CHUNK_TEXTS = 1024
"""Texts that are tokenised at once: bounds the memory of a call with many."""


@python_errors()
def load(
    path: str | PathLike[str],
    *,
    precision: str | None = None,
    provider: str | None = None,
    threads: int | None = None,
) -> Model:
    """Open a bundle: what was evaluated and verified is what predicts, or the bundle is refused.

    Args:
        path: the bundle's folder, or "hf://owner/name[@revision]" for one on the Hugging Face hub.
        precision: fp32, int8 or fp16; None picks int8 on a CPU and fp16 on CUDA where verified, else fp32.
        provider: cpu, cuda, or None for the best one here.
        threads: CPU threads; what the CPU quota allows when None.

    Raises:
        BundleError: when the bundle is missing, incomplete or was changed.
        VerificationError: when it has no verified ONNX model, or the model computes something else on this machine.
        ConfigError: for an unknown precision or provider.
    """
    return Model(Predictor.load(local_folder(path), precision=precision, provider=provider, threads=threads))


@dataclass(frozen=True)
class Model:
    """A verified model that reads texts; safe to use from several threads. Made by `load`."""

    predictor: Predictor

    def __repr__(self) -> str:
        return f"Model({str(self.path)!r}, {len(self.labels)} labels, {self.precision})"

    @property
    def path(self) -> Path:
        """The bundle's folder."""
        return self.predictor.bundle.path

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the L labels, in the order of the columns of `predict_proba`."""
        return self.predictor.labels

    @property
    def policies(self) -> tuple[str, ...]:
        """Names of the decision policies, the default one first; none for a model of intensities."""
        if self.predictor.bundle.readout is not None:
            return ()
        policies = self.predictor.policies
        return (policies.default, *(name for name in policies.values if name != policies.default))

    @property
    def task(self) -> str:
        """multi_label, single_label or intensity."""
        return str(self.predictor.bundle.task)

    @property
    def scale(self) -> Scale | None:
        """What intensities lie between; None for a model that decides labels."""
        return self.predictor.bundle.manifest.scale

    @property
    def precision(self) -> str:
        """fp32, int8 or fp16: of the ONNX model in use."""
        return self.predictor.precision

    @property
    def profiles(self) -> tuple[str, ...]:
        """Names of the profiles to decide by, the default one first."""
        return self.predictor.bundle.profile_names

    @python_errors()
    def predict(
        self,
        texts: Iterable[str],
        *,
        profile: str | None = None,
        language: str | None = None,
        policy: str | None = None,
        thresholds: Mapping[str, float] | None = None,
        taxonomy: str | None = None,
        top_k: int | None = None,
        segments: Segmentation | None = None,
        long_texts: str | None = None,
        explain: bool = False,
        context: Sequence[Any] | None = None,
    ) -> list[Prediction]:
        """One prediction a text, in their order; the options are those of `POST /predict`.

        A text that cannot be read (empty, not a string) gets a prediction with an `error`; its neighbours are answered.

        Args:
            texts: N texts.
            profile: name of one of `profiles`; the default one when None.
            language: of the texts, as "en" or "pt-BR", in place of `profile`: its thresholds, where there are some.
            policy: name of a decision policy; the bundle's default when None.
            thresholds: label -> threshold in 0..1, in place of the policy's.
            taxonomy: goemotions, ekman or sentiment; the finest one when None.
            top_k: list the k most probable labels in place of the decided ones.
            segments: "sentence" or "paragraph" reads each by itself and puts the answer for the text together; or the
                offsets `(start, end)` of pieces of a single text.
            long_texts: "windows" reads what is longer than the model reads in overlapping windows (default with
                `segments`), "head_tail" leaves out its middle (default without).
            explain: add to each decided label the words that speak for and against it.
            context: the turns before each text, the oldest first: a list of texts, or of `{"text", "speaker"}`; for
                several texts a list of such lists, None or [] for a text without. Only for a bundle that was trained
                with context.

        Raises:
            InvalidInputError: for a single string in place of a list, or an option that the bundle does not have.
        """
        options: dict[str, Any] = {
            "profile": profile, "language": language, "policy": policy, "thresholds": thresholds, "taxonomy": taxonomy,
            "top_k": top_k, "segments": segments, "long_texts": long_texts, "explain": explain or None,
            "context": context,
        }  # fmt: skip
        every, bundle = listed(texts), self.predictor.bundle
        if bundle.readout is None:
            options["probabilities"] = True
        request = _request(every or [""], options)  # an empty list of texts is no mistake here
        bundle = bundle.with_profile(profile or for_language(bundle.profiles, request.language))
        check_request(request, bundle)
        found, contexts = [], request.contexts
        for start in range(0, len(every), CHUNK_TEXTS):
            rows = slice(start, start + CHUNK_TEXTS)
            checked = [_checked(*each) for each in zip(every[rows], contexts[rows], strict=False)]
            found += read_here(self.predictor, self.checks, checked, request, bundle)
        return [Prediction.from_result(reading.result) for reading in found]

    @python_errors()
    def conversation(
        self, turns: Iterable[Any], *, smoothing: float = 0.0, profile: str | None = None, policy: str | None = None
    ) -> Conversation:
        """Read a conversation turn by turn, each after those before it where the bundle reads previous turns.

        Args:
            turns: the oldest first, each a text or `{"text", "speaker"}`.
            smoothing: weight, 0 up to 1, of what came before in the timeline: exponential smoothing.
            profile: name of one of `profiles`; the default one when None.
            policy: name of a decision policy; the bundle's default when None.

        Raises:
            InvalidInputError: for something else than turns, an option that the bundle does not have, or a model of
                intensities.
            ConfigError: for a weight outside 0..1.
        """
        from emotion_classifiers.conversation import read_conversation  # noqa: PLC0415

        return read_conversation(self, turns, smoothing=smoothing, profile=profile, policy=policy)

    @cached_property
    def checks(self) -> TextChecks:
        """Coverage and warnings of texts."""
        return TextChecks(self.predictor.bundle)

    @python_errors()
    def predict_proba(
        self, texts: Iterable[str], *, profile: str | None = None, context: Sequence[Any] | None = None
    ) -> NDArray[np.float32]:
        """Probabilities as a profile calibrates them, float32 of shape (N, L), columns as `labels`.

        Args:
            texts: N texts.
            profile: name of one of `profiles`; the default one when None.
            context: the turns before each text, as in `predict`.

        Raises:
            InvalidInputError: when a text cannot be read; says which. Also for a model of intensities.
        """
        if self.predictor.bundle.readout is not None:
            raise InvalidInputError("this model answers intensities, not probabilities.", hint="Use predict.")
        found = np.empty((0, len(self.labels)), dtype=np.float32)
        rows, every = [], listed(texts)
        request = _request(every or [""], {"context": context})
        predictor = self.predictor.with_profile(profile)
        check_request(request, predictor.bundle)
        for number, row in enumerate(_rows(predictor, self.checks, every, request.contexts)):
            if not isinstance(row, Row):
                raise InvalidInputError(f"texts[{number}]: {row.message}", hint="Leave it out, or use predict.")
            rows.append(row.probabilities)
        return np.stack(rows).astype(np.float32) if rows else found

    @python_errors({"help-all": "`emotion evaluate --help-all`"})
    def evaluate(
        self,
        data: Any,
        *,
        text: str | None = None,
        labels: str | Sequence[str] | None = None,
        split: str | None = None,
        bootstrap_samples: int = 0,
        **options: Any,
    ) -> Metrics | IntensityMetrics:
        """Metrics of the precision that is served, on any data.

        Args:
            data: a DataFrame, a list of dictionaries, the path of a table or a folder of them, or the name of a data
                set on the hub.
            text: name of the column of texts; found by name and content when None.
            labels: name of the column of labels, or of one 0/1 column a label; found by name and content when None.
            split: train, dev or test; "all" rows of a table without splits of its own; test, else all, when None. Of a
                file that the bundle was trained on, None scores the rows held out as test; of rows in hand, all.
            bootstrap_samples: resamples for 95 % intervals of the F1 scores; 0 leaves them out.
            options: any option of `emotion evaluate`, like `**{"data.source": "goemotions"}`.

        Raises:
            DataError: when the data cannot be used, or shares no label with the bundle.
            ConfigError: for an option that is unknown or has a value that is not allowed.
        """
        given = {"bootstrap_samples": bootstrap_samples, **({} if split is None else {"data.split": split}), **options}
        return evaluate(self.predictor, data, text=text, labels=labels, options=given)

    @python_errors({"help-all": "`emotion adapt --help-all`"})
    def adapt(
        self,
        data: Any = None,
        *,
        text: str | None = None,
        labels: str | Sequence[str] | None = None,
        unlabelled: Any = None,
        frequencies: Mapping[str, float] | str | PathLike[str] | None = None,
        **options: Any,
    ) -> Model:
        """The same network with decisions that fit other texts, from a child bundle that is sealed beside this one.

        Args:
            data: labelled rows, as `evaluate` takes them; None where only frequencies or unlabelled texts are known.
            text: name of the column of texts; found by name and content when None.
            labels: name of the column of labels, or of one 0/1 column a label; found by name and content when None.
            unlabelled: texts of yours without labels, from which the frequencies are estimated: a list, a column, a
                DataFrame or the path of a table.
            frequencies: label -> share of your texts that carry it, between 0 and 1, or the path of a YAML file.
            options: any other option of `emotion adapt`, like `output`, `level` or `profile`.

        Raises:
            DataError: when the data cannot be used, or shares no label with the bundle.
            ConfigError: for an option that is not allowed, or too little to adapt to.
        """
        from emotion_classifiers.adapt import InHand, adapt_data  # noqa: PLC0415  (who predicts needs no parser)

        child = adapt_data(self.predictor, InHand(data, text, labels, unlabelled, frequencies), options)
        return load(child, precision=self.precision)

    @python_errors({"help-all": "`emotion adapt --help-all`", "data": "labelled", "unlabelled": "texts"})
    def suggest(
        self,
        texts: Any,
        count: int = 50,
        *,
        labelled: Any = None,
        text: str | None = None,
        labels: str | Sequence[str] | None = None,
        **options: Any,
    ) -> list[str]:
        """Texts to label, spread over all of them, for `adapt`.

        Args:
            texts: a list, a column, a DataFrame or the path of a table.
            count: how many; fewer come where the others are near duplicates.
            labelled: rows that have labels already, as `evaluate` takes them; they are left out.
            text: name of the column of texts of `labelled`; found by name and content when None.
            labels: name of their column of labels, or of one 0/1 column a label; found when None.
            options: any other option of `emotion adapt --suggest`, like `seed`.

        Raises:
            DataError: when the texts or rows cannot be used.
            ConfigError: for an option that is not allowed.
        """
        from emotion_classifiers.adapt import InHand, suggest_texts  # noqa: PLC0415  (who predicts needs no parser)

        given = InHand(labelled, text, labels, unlabelled=texts, frequencies=None)
        return suggest_texts(self.predictor, given, {"suggest": count, **options})


def _rows(
    predictor: Predictor, checks: TextChecks, texts: Sequence[Any], contexts: Sequence[Context]
) -> Iterator[Row | InvalidInputError]:
    """The answer for every text, or why it has none."""
    for start in range(0, len(texts), CHUNK_TEXTS):
        rows = slice(start, start + CHUNK_TEXTS)
        checked = [_checked(*each) for each in zip(texts[rows], contexts[rows], strict=False)]
        found = iter(answers(predictor, checks, [text for text in checked if isinstance(text, str)]))
        yield from (next(found) if isinstance(text, str) else text for text in checked)


def _checked(text: Any, context: Context = ()) -> str | InvalidInputError:
    try:
        return check_text(text, max_characters=NO_LIMIT, context=context)
    except InvalidInputError as error:
        return error


def _request(texts: list[Any], options: Mapping[str, Any]) -> PredictRequest:
    """The options, checked as those of a request over HTTP."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return PredictRequest.model_validate({"texts": texts, **given})
    except ValidationError as error:
        raise InvalidInputError(describe(error, PredictRequest)) from None
