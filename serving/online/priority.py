"""Who goes first when cores are short."""

from __future__ import annotations

import os
import sys
import threading

NICENESS = 10
"""Of a thread that runs the model, relative to the process: about a tenth of a core that somebody else wants whole."""


def give_way() -> None:
    """Let the event loop run before the calling thread: its turns are short and everybody waits for them.

    Linux has a niceness for every thread; elsewhere this does nothing.
    """
    if sys.platform == "linux":
        # that of the process, not of this thread: one that replaces a crashed one would give way twice
        own = os.getpriority(os.PRIO_PROCESS, os.getpid())
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), own + NICENESS)
