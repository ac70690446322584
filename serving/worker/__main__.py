"""The process that runs a model: reads requests from its input, writes answers to its output, ends with its input.

Started by `client.ModelProcess`, not by hand.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import time
from typing import Any, BinaryIO

from serving.logs import configure_logging
from serving.predictor import Predictor
from serving.text_checks import TextChecks
from serving.worker.encoding import encode
from serving.worker.wire import HEAD, Encode, Failed, Load, Loaded, Ping, Run, packed, token_ids
from shared.errors import EmotionError
from shared.files import learn_digests

logger = logging.getLogger("emotion.model_process")

WARM_UP_TEXTS = ("warm up", "a longer sentence to warm up with, " * 8, "the longest one " * 200)


def main() -> None:
    """Load the model that the first message names, then answer until the input ends."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole group; whoever started this drains first
    configure_logging()
    requests, answers = sys.stdin.buffer, _output()
    load = _read(requests)
    if load is None:
        return
    try:
        predictor, slowest_s = _load(load)
        checks = TextChecks(predictor.bundle)
        checks.warm_up()
    except (EmotionError, OSError) as error:
        _write(answers, Failed(error))
        return
    _write(answers, Loaded(predictor.bundle.seal, predictor.precision, predictor.provider, slowest_s))
    while (request := _read(requests)) is not None:
        _write(answers, _answer(predictor, checks, request))


def _output() -> BinaryIO:
    """The way back; what anything prints goes to stderr from now on."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _load(load: Load) -> tuple[Predictor, float]:
    """The model, warm, and the seconds that the longest text takes."""
    os.nice(load.niceness)
    learn_digests(load.digests)
    predictor = Predictor.load(
        load.path, precision=load.precision, provider=load.provider, threads=load.threads, cuda=load.cuda
    )
    for text in WARM_UP_TEXTS:
        predictor.logits([text])
    started = time.perf_counter()
    predictor.logits([WARM_UP_TEXTS[-1]])
    return predictor, time.perf_counter() - started


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
    head = requests.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    (size,) = HEAD.unpack(head)
    body = requests.read(size)
    return pickle.loads(body) if len(body) == size else None  # from the process that started this one


def _write(answers: BinaryIO, message: Any) -> None:
    try:
        answers.write(packed(message))
        answers.flush()
    except BrokenPipeError:  # nobody waits for it any more
        sys.exit()


if __name__ == "__main__":
    main()
