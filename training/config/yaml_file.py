"""YAML of a user, in a file or on the command line, in which no key stands twice."""

from __future__ import annotations

from typing import Any

import yaml

MOST_SHOWN = 40
"""Characters of a value that a message shows."""


class RepeatedKeyError(yaml.YAMLError):
    """A key that stands twice in a mapping; the message shows both values."""


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, of which YAML's own loader takes the last without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (before := seen.get(key.value)) is not None:
                where = f" in line {key.start_mark.line + 1}" if key.start_mark.line else ""
                raise RepeatedKeyError(
                    f"the key '{key.value}' stands twice: {_written(before)}, then {_written(value)}{where}"
                )
            seen[key.value] = value
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def _written(node: Any) -> str:
    """A value as it is written, in one line."""
    start, end = node.start_mark, node.end_mark
    text = " ".join(start.buffer[start.pointer : end.pointer].split())
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def load_yaml(text: str) -> Any:
    """What YAML says, as `yaml.safe_load`.

    Raises:
        RepeatedKeyError: when a mapping has a key twice.
        yaml.YAMLError: when it is none.
    """
    return yaml.load(text, _UniqueKeys)
