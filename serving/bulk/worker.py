"""A process that scores parts until its input ends; started by `pool.Pool`, not by hand.

One thread takes parts and tokenises them while the model reads the part before.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from queue import Queue
from typing import Any, NoReturn

from serving.bulk.scoring import Scorer
from shared.errors import EmotionError
from shared.files import learn_digests


def main(descriptor: int) -> None:
    """Load the bundle that the first message names, then answer every part with its `ScoredPart`.

    An error that the user can fix is the last answer: another process would only meet it again.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole group; who started this ends it
    channel = Connection(descriptor)
    job, digests = channel.recv()
    learn_digests(digests)
    try:
        scorer = Scorer.open(job)
    except (EmotionError, OSError) as error:
        channel.send(error)
        return
    channel.send(scorer.model)
    try:
        _answer_parts(channel, scorer)
    except EmotionError as error:
        channel.send(error)


def _answer_parts(channel: Any, scorer: Scorer) -> NoReturn:
    waiting: Queue[Any] = Queue()
    threading.Thread(target=_take_parts, args=(channel, scorer, waiting), daemon=True).start()
    while True:
        found = waiting.get()
        if isinstance(found, BaseException):
            raise found
        channel.send(scorer.score(*found))


def _take_parts(channel: Any, scorer: Scorer, waiting: Queue[Any]) -> None:
    try:
        while True:
            part = channel.recv()
            waiting.put((part, scorer.prepare_part(part)))
    except (EOFError, OSError):
        os._exit(0)  # nobody waits for what is in hand
    except BaseException as error:  # the main thread raises it
        waiting.put(error)


if __name__ == "__main__":
    main(int(sys.argv[1]))
