"""Help of a command: a first screen for a person, one section or key, or every key."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from shared.errors import ConfigError
from training.config.aliases import meant_key
from training.config.schema import Config
from training.config.values import describe, leaves

WIDTH = 110
OFTEN = (
    "data.source", "data.path", "model.name", "run.name", "run.resume", "tuning.method", "loss.name", "optim.epochs",
    "optim.lr", "optim.batch_size",
)  # fmt: skip
"""What nearly everybody sets."""
IN_ENVIRONMENT = {"optim.lr": "EMOTION_TRAIN_OPTIM__LR=1e-4", "data.path": "EMOTION_TRAIN_DATA__PATH=mine.csv"}
"""Keys as the environment sets them, to show how; the first of them that a command has."""


@dataclass(frozen=True)
class Key:
    """One option."""

    name: str
    hint: Any
    default: Any
    meaning: str


@dataclass(frozen=True)
class Help:
    """The help of one command.

    Args:
        options_type: dataclass of its options.
        prog: its name.
        description: what it does.
        positionals: name and meaning of the positional arguments.
        examples: arguments worth showing.
        several: positional arguments of which there may be any number, as the usage writes them.
        environment: whether the environment is looked at.
    """

    options_type: Any
    prog: str
    description: str
    positionals: Mapping[str, str]
    examples: Sequence[str] = ()
    several: str = ""
    environment: bool = True

    @cached_property
    def keys(self) -> dict[str, Key]:
        """Every option by its dotted key."""
        meanings = dict(_meanings(self.options_type))
        hints = dict(leaves(self.options_type))
        return {name: Key(name, hints[name], default, meanings[name]) for name, default in _defaults(self.options_type)}

    @cached_property
    def sections(self) -> dict[str, str]:
        """Every section with its meaning."""
        hints, meanings = typing.get_type_hints(self.options_type), attribute_docs(self.options_type)
        return {name: meanings.get(name, "") for name, hint in hints.items() if dataclasses.is_dataclass(hint)}

    def first(self) -> str:
        """One screen: usage, what is set most often, sections, examples."""
        often = [key for key in self._own() if key in self.keys] + [key for key in OFTEN if key in self.keys]
        chosen = [self.keys[name] for name in dict.fromkeys(often)]
        width = max(len(key.name) for key in chosen) + 4
        lines = [self._usage(), "", *textwrap.wrap(self.description.strip(), WIDTH), ""]
        lines += [f"  {name.upper():{width}}{meaning}" for name, meaning in self.positionals.items()]
        lines += [f"  {'--config':{width}}YAML file with any of the keys; recipes are in configs/"]
        lines += [f"  {'--' + key.name:{width}}{_short(key, WIDTH - width - 2)}" for key in chosen]
        if self.sections:
            lines += ["", "sections (--help SECTION lists the keys of one, --help-all those of all):"]
        lines += [f"  {name:{width}}{_cut(meaning, WIDTH - width - 2)}" for name, meaning in self.sections.items()]
        if self.examples:
            lines += ["", "examples:", *(f"  {self.prog} {example}".rstrip() for example in self.examples)]
        shown = [said for key, said in IN_ENVIRONMENT.items() if key in self.keys and self.environment]
        variable = f" In the environment: {shown[0]}." if shown else ""
        lines += ["", f"  --print_config prints the resolved YAML.{variable}"]
        return "\n".join(lines) + "\n"

    def _own(self) -> list[str]:
        """Keys that belong to this command alone: those outside the sections of a run."""
        names = [name for name in self.keys if "." not in name]
        if issubclass(self.options_type, Config):
            run = {field.name for field in dataclasses.fields(Config)}
            names += [name for name in self.keys if name.split(".")[0] not in run]
        return names if len(names) <= 10 else names[:10]

    def topic(self, topic: str) -> str:
        """A section with all of its keys, or one key.

        Raises:
            ConfigError: when there is neither.
        """
        topic = topic.removeprefix("--")
        found = [key for name, key in self.keys.items() if name == topic or name.startswith(f"{topic}.")]
        if not found:
            meant = meant_key(topic, [*self.keys, *self.sections])
            near = f" (did you mean '{meant}'?)" if meant else ""
            raise ConfigError(
                f"there is no section or key '{topic}'{near}.", hint=f"Sections: {', '.join(self.sections)}."
            )
        head = [f"{topic}: {self.sections[topic]}", ""] if topic in self.sections else []
        return "\n".join([*head, *(line for key in found for line in _full(key))]) + "\n"

    def everything(self) -> str:
        """All keys, section by section."""
        lines = [self._usage(), "", *textwrap.wrap(self.description.strip(), WIDTH), ""]
        lines += [f"{name.upper()}: {meaning}" for name, meaning in self.positionals.items()]
        lines += ["--config F.yaml: YAML file with any of the keys below.", ""]
        plain = [key for name, key in self.keys.items() if "." not in name]
        text = "\n".join([*lines, *(line for key in plain for line in _full(key))])
        return text + "\n" + "\n".join(self.topic(section) for section in self.sections)

    def _usage(self) -> str:
        named = [*(name.upper() for name in self.positionals), *filter(None, [self.several])]
        positionals = "".join(f" {name}" for name in named)
        return f"usage: {self.prog}{positionals} [--config F.yaml] [--section.key value ...]"


def attribute_docs(dataclass_type: Any) -> dict[str, str]:
    """The strings below the fields of a dataclass, its bases included, by the name of the field."""
    found: dict[str, str] = {}
    kinds: list[type] = [kind for kind in reversed(dataclass_type.__mro__) if hasattr(kind, "__dataclass_fields__")]
    for kind in kinds:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        body = typing.cast("ast.ClassDef", tree).body
        for node, after in pairwise(body):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(after, ast.Expr):
                found[node.target.id] = " ".join(str(ast.literal_eval(after.value)).split())
    return found


def _meanings(dataclass_type: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    hints, docs = typing.get_type_hints(dataclass_type), attribute_docs(dataclass_type)
    for field in dataclasses.fields(dataclass_type):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from _meanings(hints[field.name], f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", docs.get(field.name, "")


def _defaults(dataclass_type: Any) -> Iterator[tuple[str, Any]]:
    def below(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        for field in dataclasses.fields(value):
            inner = getattr(value, field.name)
            if dataclasses.is_dataclass(inner):
                yield from below(inner, f"{prefix}{field.name}.")
            else:
                yield f"{prefix}{field.name}", inner

    yield from below(dataclass_type(), "")


def _short(key: Key, width: int) -> str:
    return _cut(f"[{_value(key.default)}] {key.meaning}", width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else textwrap.shorten(text, width, placeholder=" ...")


def _full(key: Key) -> list[str]:
    head = f"--{key.name}  ({describe(key.hint)}; default {_value(key.default)})"
    return [
        *textwrap.wrap(head, WIDTH, initial_indent="  ", subsequent_indent="      "),
        *textwrap.wrap(key.meaning, WIDTH, initial_indent="      ", subsequent_indent="      "),
    ]


def _value(value: Any) -> str:
    """A default as it would be written on the command line."""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        if any(dataclasses.is_dataclass(item) for item in value):
            return f"{len(value)} entries"
        return f"[{', '.join(_value(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
