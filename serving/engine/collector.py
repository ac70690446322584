"""Python's garbage collector, kept from pausing the event loop."""

from __future__ import annotations

import gc

NEW_OBJECTS = 50_000
"""Grown by so many objects, the process looks for garbage among them; Python's own 700 come with every few requests."""


def set_aside_for_good() -> None:
    """Take what lives as long as the service out of the collector's sight, and let it look at the rest less often.

    Its full rounds look at every object of every imported module: pauses of a tenth of a second, every few seconds
    under load, in which nobody is answered; with hundreds of requests in flight even those over new objects take ten
    milliseconds. Requests leave no cycles behind: what a bundle before this one has left comes into sight once more.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
