"""What the service promises, judged on a real server: under attack, and through restarts and swaps under load.

`make test` runs a small version of each, `make system` the full one: 20,000 hostile requests, 20,000 through restarts
and 20,000 through swaps. Settings of a run:

    SYSTEM_REQUESTS=500 SYSTEM_SEED=7 pytest -m system                         # another size, other attacks
    SYSTEM_BUNDLE=runs/monday/bundle SYSTEM_OTHER_BUNDLE=runs/friday/bundle make system
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SEED = int(os.environ.get("SYSTEM_SEED", "0"))


def requests(small: int) -> int:
    """How many to send: as the environment says, else a few."""
    return int(os.environ.get("SYSTEM_REQUESTS", small))


def only_in_full(reason: str) -> pytest.MarkDecorator:
    """A test for `make system` alone; the reason says why it is too dear for `make test`."""
    return pytest.mark.skipif("SYSTEM_REQUESTS" not in os.environ, reason=f"{reason}: run `make system`")


def bundle_from(variable: str) -> Path | None:
    """The bundle that a variable of the environment names."""
    return Path(os.environ[variable]).absolute() if variable in os.environ else None
