"""Options of a command from YAML, environment and command line; every mistake is found and explained at once."""

from __future__ import annotations

import dataclasses
import json
import operator
import os
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jsonargparse
import yaml
from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

from shared.cli import as_called
from shared.errors import ConfigError
from shared.recipes import recipe_names, recipe_path
from training.config.aliases import meant_key

ENV_PREFIX = "EMOTION_TRAIN"
_FLAGS = ("--help", "-h", "--print_config")
_Options = TypeVar("_Options")


@dataclass(frozen=True)
class Setting:
    """One key with the value it was given, and where: the command line, a file or the environment."""

    key: str
    value: Any
    origin: str


def parse_options(
    options_type: type[_Options],
    argv: Sequence[str],
    *,
    prog: str,
    description: str,
    positionals: Mapping[str, str] | None = None,
) -> tuple[_Options, list[str]]:
    """Options as an instance of a dataclass, and the positional arguments.

    `--config F.yaml` gives values for any keys, `EMOTION_TRAIN_<SECTION>__<KEY>` in the environment for one; the
    command line is read left to right and wins. `--help` and `--print_config` print and exit.

    Args:
        options_type: a dataclass whose fields are options or, when dataclasses themselves, sections of options.
        argv: the arguments after the program's name.
        prog: name of the command, for the help.
        description: what it does, for the help.
        positionals: name and help of the positional arguments.

    Raises:
        ConfigError: for unknown keys and values that are not allowed; all of them in one message.
    """
    names = positionals or {}
    argv = _with_recipe_paths(argv)
    parser = _make_parser(options_type, prog, description, names)
    if not any(flag in argv for flag in ("--help", "-h")):
        _check(options_type, argv, names)
    try:
        parsed = parser.parse_args(list(argv))
        given = [str(parsed.pop(name)) for name in names]
        parsed.pop("config", None)
        values = parser.instantiate(parsed)
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(" ".join(str(error).split())) from error
    return _plain(options_type(**{field.name: values[field.name] for field in _fields(options_type)})), given


def _with_recipe_paths(argv: Sequence[str]) -> list[str]:
    """The arguments with the file of every recipe that `--config` names, like `--config goemotions_starter`."""
    found: list[str] = []
    for argument in argv:
        name, equals, value = argument.partition("=")
        if found and found[-1] == "--config":
            found.append(str(recipe_path(argument)))
        else:
            found.append(f"{name}={recipe_path(value)}" if name == "--config" and equals else argument)
    return found


def _make_parser(
    options_type: type, prog: str, description: str, positionals: Mapping[str, str]
) -> jsonargparse.ArgumentParser:
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(
        prog=as_called(prog),
        description=as_called(description),
        exit_on_error=False,
        default_env=True,
        env_prefix=ENV_PREFIX,
    )
    for name, meaning in positionals.items():
        parser.add_argument(name, type=str, help=meaning)
    parser.add_argument("--config", action=ActionConfigFile, help="YAML file with any of the keys below.")
    parser.add_class_arguments(options_type)
    return parser


def _check(options_type: type, argv: Sequence[str], positionals: Mapping[str, str]) -> None:
    """Raise one error that tells every unknown key and every value that is not allowed."""
    known = dict(_leaves(options_type))
    settings, problems = _from_command_line(argv, known, len(positionals))
    settings = [*_from_environment(known, problems), *settings]
    checker = _make_parser(options_type, "", "", {})
    for setting in settings:
        problems += _problems_of(setting, known, checker)
    if problems:
        found = problems[0] if len(problems) == 1 else f"{len(problems)} problems: {' '.join(problems)}"
        raise ConfigError(found, hint="--help lists every key.")


def _from_command_line(
    argv: Sequence[str], known: Mapping[str, Any], num_positionals: int
) -> tuple[list[Setting], list[str]]:
    settings: list[Setting] = []
    problems: list[str] = []
    stray: list[str] = []
    arguments = list(argv)
    while arguments:
        name, equals, value = arguments.pop(0).partition("=")
        if name in _FLAGS or (name.endswith(".help") and name[2:-5] in known):
            continue
        if not name.startswith("--"):
            stray.append(name + equals + value)
            continue
        if not equals:
            if not arguments or arguments[0].startswith("--"):
                problems.append(f"{name} needs a value.")
                continue
            value = arguments.pop(0)
        if name == "--config":
            settings += _from_file(Path(value), known)
        else:
            settings.append(Setting(name[2:].removesuffix("+"), value, "on the command line"))
    problems += [f"unexpected argument '{argument}'." for argument in stray[num_positionals:]]
    return settings, problems


def _from_environment(known: Mapping[str, Any], problems: list[str]) -> list[Setting]:
    variables = {f"{ENV_PREFIX}_{key.upper().replace('.', '__')}": key for key in known}
    settings = []
    for variable, value in sorted(os.environ.items()):
        if variable == f"{ENV_PREFIX}_CONFIG":
            settings += _from_file(Path(value), known)
        elif variable in variables:
            settings.append(Setting(variables[variable], value, f"in ${variable}"))
        elif variable.startswith(f"{ENV_PREFIX}_"):
            key = variable.removeprefix(f"{ENV_PREFIX}_").replace("__", ".").lower()
            meant = next((name for name, its_key in variables.items() if its_key == meant_key(key, known)), None)
            problems.append(f"unknown variable {variable}{f' (did you mean {meant}?)' if meant else ''}.")
    return settings


def _from_file(path: Path, known: Mapping[str, Any]) -> list[Setting]:
    """Settings of a YAML file.

    Raises:
        ConfigError: when it is missing, not YAML, or not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise ConfigError(
            f"no configuration file at {path.absolute()}.",
            hint=f"Give a YAML file, or the name of a recipe: {', '.join(recipe_names())}.",
        ) from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}.") from error
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{path} must hold sections with keys, like `optim:` and below it `lr: 1e-4`.")
    return [Setting(key, value, f"in {path}") for key, value in _flatten(content or {}, known)]


def _flatten(content: Mapping[Any, Any], known: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key not in known:
            yield from _flatten(value, known, f"{key}.")
        else:
            yield key, value


def _problems_of(setting: Setting, known: Mapping[str, Any], checker: jsonargparse.ArgumentParser) -> list[str]:
    key, value = setting.key, setting.value
    if key not in known:
        if any(name.startswith(f"{key}.") for name in known):
            return [f"'{key}' {setting.origin} is a section; its keys are set one by one."]
        return [f"unknown key '{key}' {setting.origin}{_suggestion(key, known)}."]
    if (entry := _entry_type(known[key])) is not None:
        return _problems_of_entries(setting, entry, checker)
    if not _accepted(checker, key, value):
        return [f"{key} is {_text(value)!r} {setting.origin}; allowed: {describe(known[key])}."]
    return []


def _entry_type(hint: Any) -> Any:
    """The dataclass that a list holds, None for any other type."""
    return next((item for item in typing.get_args(hint) if dataclasses.is_dataclass(item)), None)


def _problems_of_entries(setting: Setting, entry: Any, checker: jsonargparse.ArgumentParser) -> list[str]:
    """Problems with a list of dataclasses."""
    key, rows = setting.key, yaml.safe_load(setting.value) if isinstance(setting.value, str) else setting.value
    hints = typing.get_type_hints(entry)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return [f"{key} is {_text(setting.value)!r} {setting.origin}; allowed: {describe(list[entry])}."]
    problems = []
    for name, value in (item for row in rows for item in row.items()):
        if name not in hints:
            problems.append(f"unknown key '{name}' in an entry of {key}{_suggestion(str(name), hints)}.")
        elif not _accepted(checker, key, [{name: value}]):
            problems.append(f"{name} in an entry of {key} is {_text(value)!r}; allowed: {describe(hints[name])}.")
    return problems


def _accepted(checker: jsonargparse.ArgumentParser, key: str, value: Any) -> bool:
    try:
        checker.parse_args([f"--{key}={_text(value)}"], env=False)
    except (jsonargparse.ArgumentError, TypeError, ValueError):
        return False
    return True


def _text(value: Any) -> str:
    """The value as it would be written on the command line."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _suggestion(key: str, known: typing.Iterable[str]) -> str:
    meant = meant_key(key, known)
    return f" (did you mean '{meant}'?)" if meant else ""


def describe(hint: Any) -> str:
    """The values a type allows, in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ", ".join(str(choice) for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if item is type(None) else describe(item) for item in arguments)
    if origin in (list, tuple):
        item = arguments[0]
        if dataclasses.is_dataclass(item):
            return f"a list of entries with the keys {', '.join(field.name for field in _fields(item))}"
        return f"a list like [a, b], each {describe(item)}"
    if hint is bool:
        return "true, false"
    restrictions = [f"{sign} {bound}" for sign, bound in _restrictions(hint)]
    noun = "a whole number" if issubclass(hint, int) else "a number" if issubclass(hint, float) else "a text"
    return " ".join([noun, *([" and ".join(restrictions)] if restrictions else [])])


def _restrictions(hint: Any) -> list[tuple[str, Any]]:
    signs = {operator.gt: ">", operator.ge: ">=", operator.lt: "<", operator.le: "<="}
    return [(signs.get(comparison, "?"), bound) for comparison, bound in getattr(hint, "_restrictions", [])]


def _fields(dataclass_type: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(dataclass_type)


def _plain(value: Any) -> Any:
    """The value with plain numbers: those of restricted types cannot be read back from a checkpoint."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{field.name: _plain(getattr(value, field.name)) for field in _fields(value)})
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return next((kind(value) for kind in (bool, int, float, str) if isinstance(value, kind)), value)


def _leaves(dataclass_type: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and type of every option below a dataclass."""
    hints = typing.get_type_hints(dataclass_type)
    for field in _fields(dataclass_type):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _leaves(hint, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", hint
