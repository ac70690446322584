"""DeBERTa-v2 and v3 computed several times faster, exactly, under the same parameter names; see README.md."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attention import use_fast_attention, use_stock_attention

__all__ = ["use_fast_attention", "use_stock_attention"]


def __getattr__(name: str) -> Any:
    """A public name, once it is asked for: torch and transformers are loaded then.

    Raises:
        AttributeError: for any other name.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(".attention", __name__), name)
