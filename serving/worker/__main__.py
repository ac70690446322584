"""The process that runs a model: reads requests from its input, writes answers to its output, ends with its input.

Started by `client.ModelProcess`, or ahead of it by `ahead.start_ahead`, not by hand.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import sys
import time
from typing import Any, BinaryIO, NamedTuple

from serving.logs import configure_logging
from serving.predictor import Predictor
from serving.text_checks import TextChecks
from serving.worker.encoding import encode
from serving.worker.wire import HEAD, LOAD_TIMEOUT_S, Encode, Failed, Load, Loaded, Ping, Run, packed, token_ids
from shared.drift import reference_lengths
from shared.errors import EmotionError
from shared.files import learn_digests

logger = logging.getLogger("emotion.model_process")

NICENESS = 10
"""Relative to the event loop's process, which has short turns that everybody waits for."""

WARM_UP_TEXTS = ("warm up", "a longer sentence to warm up with, " * 8, "the longest one " * 200)


class Model(NamedTuple):
    """A model that is loaded and warm, the checks of texts that go with it, and what is said of it."""

    predictor: Predictor
    checks: TextChecks
    about: Loaded


def main() -> None:
    """Load the model that the first message names, then answer until the input ends."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole group; whoever started this drains first
    os.nice(NICENESS)
    configure_logging()
    requests, answers = sys.stdin.buffer, _output()
    loaded, model = None, None
    if sys.argv[1:]:  # by `ahead.start_ahead`, with the socket to be taken at
        loaded = _read(requests)
        signal.setitimer(signal.ITIMER_REAL, LOAD_TIMEOUT_S)  # nobody else would end it if it hung: SIGALRM does
        model = _load(loaded)
        signal.setitimer(signal.ITIMER_REAL, 0)
        connection = _wait_to_be_taken(int(sys.argv[1]))
        if connection is None:
            return
        requests, answers = connection.makefile("rb"), connection.makefile("wb")
        _write(answers, os.getpid())
    load = _read(requests)
    if load is None:
        return
    if model is None or load != loaded:
        model = _load(load)
    if isinstance(model, Failed):
        _write(answers, model)
        return
    _write(answers, model.about)
    while (request := _read(requests)) is not None:
        _write(answers, _answer(model.predictor, model.checks, request))


def _output() -> BinaryIO:
    """The way back; what anything prints goes to stderr from now on."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _wait_to_be_taken(descriptor: int) -> socket.socket | None:
    """The connection to whoever takes this process; None when nobody can any more."""
    with socket.socket(fileno=descriptor) as place:
        _, descriptors, _, _ = socket.recv_fds(place, 1, 1)
    return socket.socket(fileno=descriptors[0]) if descriptors else None


def _load(load: Load) -> Model | Failed:
    """The model, or why there is none."""
    began = time.perf_counter()
    learn_digests(load.digests)
    try:
        predictor = Predictor.load(
            load.path, precision=load.precision, provider=load.provider, threads=load.threads, cuda=load.cuda
        )
        checks = TextChecks(predictor.bundle)
        checks.warm_up()
        lengths = reference_lengths(predictor.bundle)
    except (EmotionError, OSError) as error:
        return Failed(error)
    for text in WARM_UP_TEXTS:
        predictor.logits([text])
    started = time.perf_counter()
    predictor.logits([WARM_UP_TEXTS[-1]])
    ended = time.perf_counter()
    about = Loaded(
        predictor.bundle.seal, predictor.precision, predictor.provider,
        slowest_s=ended - started, lengths=lengths, loading_s=ended - began,
    )  # fmt: skip
    return Model(predictor, checks, about)


def _answer(predictor: Predictor, checks: TextChecks, request: Encode | Run | Ping) -> Any:
    try:
        if isinstance(request, Ping):
            return None
        if isinstance(request, Encode):
            return encode(predictor.tokenizer, checks, request.texts, request.whole)
        return predictor.probabilities(predictor.run(token_ids(request.rows)))
    except Exception as error:  # the batch has failed, not the process
        logger.exception("a request to the model failed")
        return Failed(RuntimeError(type(error).__name__))  # its message may quote a text


def _read(requests: BinaryIO) -> Any:
    """The next message; None when the other side has gone."""
    try:
        head = requests.read(HEAD.size)
        if len(head) < HEAD.size:
            return None
        (size,) = HEAD.unpack(head)
        body = requests.read(size)
    except ConnectionResetError:
        return None
    return pickle.loads(body) if len(body) == size else None  # from the process that started this one


def _write(answers: BinaryIO, message: Any) -> None:
    try:
        answers.write(packed(message))
        answers.flush()
    except BrokenPipeError:  # nobody waits for it any more
        sys.exit()


if __name__ == "__main__":
    main()
