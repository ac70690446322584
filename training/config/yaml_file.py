"""YAML of a user's file, in which no key stands twice."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.constructor import ConstructorError


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, of which YAML's own loader takes the last without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise ConstructorError(None, None, f"the key '{key.value}' stands twice", key.start_mark)
            seen.add(str(key.value))
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def load_yaml(text: str) -> Any:
    """What YAML says, as `yaml.safe_load`.

    Raises:
        yaml.YAMLError: when it is none, or a mapping has a key twice.
    """
    return yaml.load(text, _UniqueKeys)
