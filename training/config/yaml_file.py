"""YAML of a user, in a file or on the command line, in which no key stands twice."""

from __future__ import annotations

import re
from typing import Any

import yaml

MOST_SHOWN = 40
"""Characters of a value that a message shows."""


class RepeatedKeyError(yaml.YAMLError):
    """A key that stands twice in a mapping; the message shows both values."""


class _UserYaml(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, of which YAML's own loader takes the last without a word.

    As in YAML 1.2, a date and the words yes, no, on and off are text: a run may be called 2026-11-28, a language is no.
    """

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


_BOOL, _DATE = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"
_UserYaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag not in (_BOOL, _DATE)]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_UserYaml.add_implicit_resolver(_BOOL, re.compile("(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def _written(node: Any) -> str:
    """A value as it is written, in one line."""
    start, end = node.start_mark, node.end_mark
    text = " ".join(start.buffer[start.pointer : end.pointer].split())
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def load_yaml(text: str) -> Any:
    """What YAML says.

    Raises:
        RepeatedKeyError: when a mapping has a key twice.
        yaml.YAMLError: when it is none.
    """
    return yaml.load(text, _UserYaml)
