"""`emotion completion bash|zsh|fish`: a script by which a shell completes commands and their options."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import sys
from collections.abc import Mapping, Sequence

from shared.cli import CommandParser

SHELLS = ("bash", "zsh", "fish")

BASH = """\
# Load with: eval "$(emotion completion {shell})"
_emotion() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" options
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{verbs}" -- "$word"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
    *) options="" ;;
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *) local IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}}
complete -o filenames -F _emotion emotion
"""


def main(argv: Sequence[str]) -> int:
    """Print the script of a shell."""
    parser = CommandParser(
        prog="emotion_classifiers.completion",
        description='Print a completion script. bash, zsh: eval "$(emotion completion bash)" in the shell\'s start '
        "file; fish: emotion completion fish > ~/.config/fish/completions/emotion.fish",
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    sys.stdout.write(script(parser.parse_args(argv).shell))
    return 0


def script(shell: str) -> str:
    """The completion script of a shell: commands first, then the options that each command's help names."""
    from emotion_classifiers.cli import VERBS  # noqa: PLC0415  (it names this module)

    options = {verb: _options_of(module) for verb, (module, _) in VERBS.items() if verb != "completion"}
    if shell == "fish":
        return _fish(options, {verb: meaning for verb, (_, meaning) in VERBS.items()})
    cases = "\n".join(f'    {verb}) options="{" ".join(found)}" ;;' for verb, found in options.items())
    bash = BASH.format(shell=shell, verbs=" ".join(VERBS), cases=cases)
    return bash if shell == "bash" else f"autoload -U +X bashcompinit && bashcompinit\n{bash}"


def _options_of(module: str) -> list[str]:
    """Options in the help of a command, as it prints them: nothing can be forgotten here."""
    output = io.StringIO()
    plain = ("serving.", "training.publish", "emotion_classifiers.bench", "emotion_classifiers.completion")
    argument = "--help" if module.startswith(plain) else "--help-all"
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        importlib.import_module(module).main([argument])
    found = re.findall(r"(?<![\w-])--[a-z][\w.-]*\w", output.getvalue())
    return sorted(set(found))


def _fish(options: Mapping[str, Sequence[str]], meanings: Mapping[str, str]) -> str:
    lines = ["# Load with: emotion completion fish > ~/.config/fish/completions/emotion.fish"]
    lines += [
        f"complete -c emotion -n __fish_use_subcommand -f -a {verb} -d {_fish_quoted(meaning)}"
        for verb, meaning in meanings.items()
    ]
    lines += [
        f"complete -c emotion -n '__fish_seen_subcommand_from {verb}' -l {option.removeprefix('--')}"
        for verb, found in options.items()
        for option in found
    ]
    return "\n".join(lines) + "\n"


def _fish_quoted(text: str) -> str:
    """The text in single quotes, in which fish knows two escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
