"""One form for all checks: a line on what was seen, or an error that says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from shared.errors import PreflightError


@dataclass(frozen=True)
class Check:
    """A check by name; `run` gives a line on what was seen, and raises PreflightError when it will not do."""

    name: str
    run: Callable[[], str]


def run_checks(checks: Sequence[Check], skip: Collection[str] = ()) -> list[str]:
    """Run all checks but the skipped ones; a line for each.

    Raises:
        PreflightError: naming every check that failed, with its reason and the next step.
    """
    lines, failed = [], []
    for check in checks:
        if check.name in skip:
            lines.append(f"{check.name}: skipped")
            continue
        try:
            lines.append(f"{check.name}: {check.run()}")
        except PreflightError as error:
            failed.append((check.name, error))
    if failed:
        names = [name for name, _ in failed]
        what = "; ".join(f"{name}: {error}" for name, error in failed)
        raise PreflightError(
            f"preflight stopped the run. {what}",
            hint=f"To go on all the same: --preflight.skip '[{', '.join(names)}]'",
        )
    return lines
