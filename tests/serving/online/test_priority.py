from __future__ import annotations

import os
import sys
import threading

import pytest

from serving.online.priority import NICENESS, give_way


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness for every thread")
def test_only_the_calling_thread_gives_way_and_only_once():
    found = []

    def work() -> None:
        for _ in range(2):
            give_way()
            found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    before = os.getpriority(os.PRIO_PROCESS, os.getpid())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [min(19, before + NICENESS)] * 2
    assert os.getpriority(os.PRIO_PROCESS, os.getpid()) == before
