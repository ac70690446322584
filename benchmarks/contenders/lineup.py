"""The line-up of the report, in the order of its tables."""

from __future__ import annotations

from benchmarks.contenders import graphs, networks
from benchmarks.contenders.contender import Contender
from shared.errors import ConfigError

SLOW = (networks.COMPILED, "OpenVINO, stock int8", "OpenVINO, ours int8")
"""Left out of a quick run: compilers take minutes, and these two answer no floor."""


def lineup() -> list[Contender]:
    """Every contender there is; whether it can run here it says itself."""
    return [*networks.contenders(), *graphs.contenders()]


def by_name(name: str) -> Contender:
    """The contender of that name.

    Raises:
        ConfigError: when there is none.
    """
    found = {contender.name: contender for contender in lineup()}
    if name not in found:
        raise ConfigError(f"there is no contender {name!r}.", hint=f"Allowed: {', '.join(found)}.")
    return found[name]
