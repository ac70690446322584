"""Options from YAML, environment, command line or a call: one path for all, which explains every mistake at once."""

from __future__ import annotations

import dataclasses
import operator
import os
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from shared.cli import as_called
from shared.errors import ConfigError
from shared.recipes import recipe_names, recipe_path
from training.config.aliases import meant_key
from training.config.experiments import COMMANDS
from training.config.schema import Config
from training.config.values import RefusedValueError, convert, describe, entry_type, item_type, leaves
from training.config.yaml_file import RepeatedKeyError, load_yaml

ENV_PREFIX = "EMOTION_TRAIN"
PRINT_CONFIG = "--print_config"
_Options = TypeVar("_Options")


def _variable(key: str) -> str:
    """The environment variable of a key."""
    return f"{ENV_PREFIX}_{key.upper().replace('.', '__')}"


@dataclass(frozen=True)
class Setting:
    """One key with the value it was given, and where: the command line, a file, the environment or a call."""

    key: str
    value: Any
    origin: str
    append: bool = False


def load(path: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """The configuration of a run out of Python: defaults, then a YAML file, then single values.

    The environment is not looked at, so that a call means the same everywhere.

    Args:
        path: a file, or the name of a recipe, as `--config` takes it.
        overrides: values by dotted key, such as `{"optim.epochs": 2}`, or nested by section.

    Raises:
        ConfigError: for unknown keys and values that are not allowed; all of them in one message.
    """
    reader = _Reader(Config())
    if path is not None:
        reader.add_file(path)
    reader.add_nested(overrides or {}, "in the call")
    config: Config = reader.options()
    return config


def varied(config: Config, values: Mapping[str, Any], origin: str) -> Config:
    """A configuration with other values of some keys, by dotted key; `origin` says in errors where they are from.

    Raises:
        ConfigError: for unknown keys, values that are not allowed, and values that do not go with the others.
    """
    reader = _Reader(config)
    reader.add_nested(values, origin)
    found: Config = reader.options()
    return found


def parse_options(
    options_type: type[_Options],
    argv: Sequence[str],
    *,
    prog: str,
    description: str,
    positionals: Mapping[str, str] | None = None,
    examples: Sequence[str] = (),
    several: str = "",
    environment: bool = True,
) -> tuple[_Options, list[str]]:
    """Options of a command as an instance of a dataclass, and the positional arguments.

    `--config F.yaml` gives values for any keys, `EMOTION_TRAIN_<SECTION>__<KEY>` in the environment for one; the
    command line is read left to right and wins. `--help`, `--help SECTION`, `--help-all` and `--print_config` print and
    exit.

    Args:
        options_type: a dataclass whose fields are options or, when dataclasses themselves, sections of options.
        argv: the arguments after the program's name.
        prog: name of the command, for the help.
        description: what it does, for the help.
        positionals: name and help of the positional arguments.
        examples: further arguments of commands worth showing, for the help.
        several: positional arguments of which there may be any number and which the caller takes off, for the help.
        environment: whether variables count: not in a call, nor for a command that may go without rows, since it would
            take those that they name for a training.

    Raises:
        ConfigError: for unknown keys and values that are not allowed; all of them in one message.
    """
    names = positionals or {}
    _answer_help(
        argv, options_type, prog=prog, description=description, positionals=names, examples=examples, several=several,
        environment=environment,
    )  # fmt: skip
    reader = _Reader(options_type())
    if environment:
        reader.add_environment()
    given = reader.add_command_line([word for word in argv if not word.startswith(PRINT_CONFIG)], names)
    options = reader.options()
    if PRINT_CONFIG in argv:
        sys.stdout.write(yaml.safe_dump(dataclasses.asdict(options), sort_keys=False, allow_unicode=True))
        raise SystemExit(0)
    missing = list(names)[len(given) :]
    if missing:
        raise ConfigError(f"{missing[0].upper()} is missing: {names[missing[0]]}", hint=f"See: {prog} --help")
    return options, given


def _answer_help(
    argv: Sequence[str], options_type: type, *, prog: str, description: str, positionals: Mapping[str, str],
    examples: Sequence[str], several: str, environment: bool,
) -> None:  # fmt: skip
    """Print what was asked for and exit; nothing when help was not asked for.

    Raises:
        ConfigError: for a topic that is neither a section nor a key.
    """
    asked = next((i for i, word in enumerate(argv) if word in ("-h", "--help", "--help-all")), None)
    topic = next((word[2:-5] for word in argv if word.startswith("--") and word.endswith(".help")), None)
    if asked is None and topic is None:
        return
    from training.config.help import Help  # noqa: PLC0415  (reads the source of the sections, for help alone)

    page = Help(options_type, as_called(prog), as_called(description), positionals, examples, several, environment)
    if asked is not None and argv[asked] == "--help-all":
        text = page.everything()
    else:
        after = list(argv[asked + 1 : asked + 2]) if asked is not None else []
        topic = topic or next((word for word in after if not word.startswith("-")), None)
        text = page.first() if topic is None else page.topic(topic)
    sys.stdout.write(text)
    raise SystemExit(0)


@dataclass
class _Reader:
    """Collects settings in the order of their rank, the last one wins, and every problem with them.

    Args:
        base: the options without them.
    """

    base: Any
    settings: list[Setting] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.known = dict(leaves(type(self.base)))

    def options(self) -> Any:
        """The options.

        Raises:
            ConfigError: naming every unknown key and every value that is not allowed.
        """
        values: dict[str, Any] = {}
        for setting in self.settings:
            self._take(setting, values)
        if self.problems:
            count = len(self.problems)
            found = self.problems[0] if count == 1 else f"{count} problems: {' '.join(self.problems)}"
            raise ConfigError(found, hint=self._hint())
        options = _with_values(self.base, values)
        if isinstance(options, Config):
            options.check()
        return options

    def _hint(self) -> str:
        """What helps with the problems: the command whose section is given, or the list of keys."""
        unknown = (setting.key.partition(".")[0] for setting in self.settings if setting.key not in self.known)
        section = next((name for name in unknown if name in COMMANDS), None)
        if section is None:
            return "--help-all lists every key."
        return f"The section {section} is of `python -m {COMMANDS[section]}`: give it this configuration."

    def add_command_line(self, argv: Sequence[str], positionals: Mapping[str, str]) -> list[str]:
        """Take in arguments from left to right; the positional ones are returned."""
        arguments, stray = list(argv), []
        while arguments:
            name, equals, value = arguments.pop(0).partition("=")
            if not name.startswith("--"):
                stray.append(name + equals + value)
                continue
            if not equals:
                if not arguments or arguments[0].startswith("--"):
                    self.problems.append(f"{name} needs a value.")
                    continue
                value = arguments.pop(0)
            if name == "--config":
                self.add_file(value)
            else:
                key = name[2:].removesuffix("+")
                self.settings.append(Setting(key, value, "on the command line", append=name.endswith("+")))
        self.problems += [f"unexpected argument '{argument}'." for argument in stray[len(positionals) :]]
        return stray[: len(positionals)]

    def add_environment(self) -> None:
        """Take in `$EMOTION_TRAIN_CONFIG`, a file, and then the variables of keys; those of runs may stay in both."""
        variables = {_variable(key): key for key in self.known}
        of_runs = {_variable(key): key for key, _ in leaves(Config)}
        if file := os.environ.get(f"{ENV_PREFIX}_CONFIG"):
            self.add_file(file)
            of_others = set(of_runs.values()) - set(self.known)
            self.settings = [setting for setting in self.settings if setting.key not in of_others]
        for variable, value in sorted(os.environ.items()):
            if variable in variables:
                self.settings.append(Setting(variables[variable], value, f"in ${variable}"))
            elif variable.startswith(f"{ENV_PREFIX}_") and variable not in (f"{ENV_PREFIX}_CONFIG", *of_runs):
                key = variable.removeprefix(f"{ENV_PREFIX}_").replace("__", ".").lower()
                meant = meant_key(key, self.known)
                name = next((name for name, its_key in variables.items() if its_key == meant), None)
                self.problems.append(f"unknown variable {variable}{f' (did you mean {name}?)' if name else ''}.")

    def add_file(self, name: str | Path) -> None:
        """Take in a YAML file, or the recipe of a name like goemotions_starter.

        Raises:
            ConfigError: when it is missing, not YAML, or not a mapping.
        """
        path = Path(recipe_path(str(name)))
        try:
            content = load_yaml(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, IsADirectoryError):
            raise ConfigError(
                f"no configuration file at {path.absolute()}.",
                hint=f"Give a YAML file, or the name of a recipe: {', '.join(recipe_names())}.",
            ) from None
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
        if content is not None and not isinstance(content, dict):
            raise ConfigError(f"{path} must hold sections with keys, like `optim:` and below it `lr: 1e-4`.")
        self.add_nested(content or {}, f"in {path}")

    def add_nested(self, content: Mapping[Any, Any], origin: str) -> None:
        """Take in values by dotted key or nested by section, each once."""
        taken: dict[str, Any] = {}
        for key, value in _flat(content, self.known):
            if key in taken:
                self.problems.append(f"{key} stands twice {origin}: {_shown(taken[key])}, then {_shown(value)}.")
            taken[key] = value
        self.settings += [Setting(key, value, origin) for key, value in taken.items()]

    def _take(self, setting: Setting, values: dict[str, Any]) -> None:
        """Put a setting into `values`, or note what is wrong with it."""
        key, hint = setting.key, self.known.get(setting.key)
        if hint is None:
            if any(name.startswith(f"{key}.") for name in self.known):
                self.problems.append(f"'{key}' {setting.origin} is a section; its keys are set one by one.")
            else:
                self.problems.append(f"unknown key '{key}' {setting.origin}{_suggestion(key, self.known)}.")
            return
        entry, item = entry_type(hint), item_type(hint) if setting.append else None
        if item is not None and entry is None:
            hint = item
        try:
            value = self._entries(setting, entry) if entry else convert(hint, setting.value)
        except RefusedValueError:
            self.problems.append(f"{key} is {_shown(setting.value)!r} {setting.origin}; allowed: {describe(hint)}.")
            return
        if item is not None:
            before = values[key] if key in values else operator.attrgetter(key)(self.base)
            value = [*(before or []), *(value if entry else [value])]
        values[key] = value

    def _entries(self, setting: Setting, entry: Any) -> list[Any]:
        """A list of dataclasses, of one where one is appended; what is wrong within an entry is noted.

        Raises:
            RefusedValueError: when it is no list of mappings.
        """
        try:
            rows = load_yaml(setting.value) if isinstance(setting.value, str) else setting.value
        except RepeatedKeyError as error:
            self.problems.append(f"{setting.key} {setting.origin}: {error}.")
            return []
        except yaml.YAMLError as error:
            raise RefusedValueError(str(error)) from error
        if setting.append and isinstance(rows, dict):
            rows = [rows]
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise RefusedValueError("not a list of entries")
        hints, found = dict(leaves(entry)), []
        for row in rows:
            values = {}
            for name, value in row.items():
                if name not in hints:
                    self.problems.append(
                        f"unknown key '{name}' in an entry of {setting.key}{_suggestion(str(name), hints)}."
                    )
                    continue
                try:
                    values[name] = convert(hints[name], value)
                except RefusedValueError:
                    self.problems.append(
                        f"{name} in an entry of {setting.key} is {_shown(value)!r}; allowed: {describe(hints[name])}."
                    )
            found.append(entry(**values))
        return found


def _flat(content: Mapping[Any, Any], known: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in known:
            yield from _flat(value, known, f"{key}.")
        else:
            yield key, value


def _with_values(options: Any, values: Mapping[str, Any], prefix: str = "") -> Any:
    """The options with other values, by dotted key."""
    chosen = {}
    for item in dataclasses.fields(options):
        key, value = f"{prefix}{item.name}", getattr(options, item.name)
        if dataclasses.is_dataclass(value):
            chosen[item.name] = _with_values(value, values, f"{key}.")
        elif key in values:
            chosen[item.name] = values[key]
    return dataclasses.replace(options, **chosen)


def _shown(value: Any) -> str:
    """The value as it would be written on the command line."""
    return value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True).split("\n...")[0].strip()


def _suggestion(key: str, known: typing.Iterable[str]) -> str:
    meant = meant_key(key, known)
    return f" (did you mean '{meant}'?)" if meant else ""
