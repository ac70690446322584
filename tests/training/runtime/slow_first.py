"""What a process of two does in a test, apart from it, so that a fresh process imports no more than it needs."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any

from training.runtime import processes


def wait_for_a_slow_first(rank: int, port: int, said: Any) -> None:
    """Process `rank` of two, in whose gradients a wait of two seconds is an error; the first takes four to begin."""
    os.environ.update(
        RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    processes.start(1)
    processes.distributed.distributed_c10d._set_pg_timeout(timedelta(seconds=2))
    with processes.main_first():
        if processes.is_main():
            time.sleep(4)
    said.put((rank, processes.from_main(f"of {rank}"), processes.on_any(rank == 1), processes.on_any(False)))
    processes.finish()
