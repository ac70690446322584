"""The command `emotion`: every verb, its help without anything heavy, its name in hints."""

from __future__ import annotations

import subprocess
import sys

import pytest

from emotion_classifiers import cli, completion
from shared.errors import ConfigError
from tests.serving.bundles import stand_in_bundle

HEAVY = ["torch", "transformers", "datasets", "pandas", "sklearn", "scipy", "matplotlib", "optuna", "onnx",
         "onnxruntime", "bentoml"]  # fmt: skip
SCRIPT = f"""
import sys
from emotion_classifiers.cli import entry_point
sys.argv[0] = "emotion"
try:
    entry_point()
except SystemExit as ended:
    code = ended.code or 0
print("heavy:", *sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)
sys.exit(code)
"""
LIGHT = list(cli.VERBS)


def emotion(*argv):
    return subprocess.run([sys.executable, "-c", SCRIPT, *argv], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("verb", LIGHT)
def test_help_names_the_command_and_loads_nothing_heavy(verb):
    said = emotion(verb, "--help")
    assert (said.returncode, said.stderr) == (0, "heavy:\n")
    assert f"usage: emotion {verb}" in said.stdout


def test_the_help_teaches():
    said = emotion("--help")
    assert (said.returncode, said.stderr) == (0, "heavy:\n")
    for verb, (_, meaning) in cli.VERBS.items():
        assert f"  {verb:<10}  {meaning}\n" in said.stdout
    assert "emotion train --data.source table --data.path mine.csv" in said.stdout


def test_the_version_is_printed(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == "emotion-classifiers 0.2.0\n"


def test_an_unknown_command_names_the_nearest():
    said = emotion("trian")
    assert said.returncode == 2
    assert said.stderr.startswith("error: unknown command 'trian'. Did you mean 'train'? See: emotion --help\n")
    with pytest.raises(ConfigError, match=r"unknown command 'xyz'\. See: emotion --help"):
        cli.main(["xyz"])


def test_hints_name_the_command_as_it_was_called(tmp_path):
    said = emotion("verify")
    assert said.stderr.startswith("error: the following arguments are required: bundle. See: emotion verify --help")
    bundle = stand_in_bundle(tmp_path / "bundle")
    (bundle / "onnx" / "verification.json").unlink()
    said = emotion("predict", str(bundle), "--text", "hi")
    assert f"is unverified: it has no onnx/verification.json. Run: emotion export {bundle}" in said.stderr
    module = subprocess.run(
        [sys.executable, "-m", "serving.predict", bundle, "--text", "hi"], capture_output=True, text=True, check=False
    )
    assert f"Run: python -m serving.export {bundle}" in module.stderr


@pytest.mark.parametrize(
    ("verb", "extras"),
    [
        ("train", "train"), ("export", "export,serve"), ("predict", "serve"),
        # a precision is opened by ONNX Runtime; the level head is written with onnx, the level full exported
        ("evaluate", "train,serve"), ("compare", "train,serve"), ("audit", "train,serve"),
        ("adapt", "train,export,serve"),
    ],
)  # fmt: skip
def test_a_missing_package_is_named_with_the_extras_that_have_all_of_a_command(monkeypatch, verb, extras):
    monkeypatch.setitem(cli.VERBS, verb, ("tests.emotion_classifiers.needs_a_package", ""))
    said = f"emotion {verb} needs the package nowhere_to_be_found, which is not installed. Run: pip install "
    with pytest.raises(ConfigError) as raised:
        cli.main([verb])
    assert str(raised.value) == f"{said}'emotion-classifiers[{extras}]'"


@pytest.fixture(scope="module")
def scripts():
    """The completion script of every shell."""
    return {shell: emotion("completion", shell).stdout for shell in completion.SHELLS}


def complete(script, *words):
    """What bash offers for the last of some words."""
    lines = [script, f"COMP_WORDS=({' '.join(map(repr, words))})", f"COMP_CWORD={len(words) - 1}", "_emotion",
             'printf "%s\\n" "${COMPREPLY[@]}"']  # fmt: skip
    return subprocess.run(
        ["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_bash_completes_commands_and_their_options(scripts):
    assert complete(scripts["bash"], "emotion", "pre") == ["preflight", "predict"]
    assert complete(scripts["bash"], "emotion", "train", "--optim.ep") == ["--optim.epochs", "--optim.epsilon"]
    assert complete(scripts["bash"], "emotion", "adapt", "--freq") == ["--frequencies"]
    assert complete(scripts["bash"], "emotion", "export", "--prec") == ["--precision"]
    assert complete(scripts["bash"], "emotion", "nothing", "--prec") == [""]


def test_bash_completes_a_file_whose_name_has_a_space_as_one_word(scripts, tmp_path):
    (tmp_path / "my file.csv").touch()
    assert complete(scripts["bash"], "emotion", "train", str(tmp_path / "my")) == [str(tmp_path / "my file.csv")]


def test_fish_reads_an_apostrophe_as_one(scripts):
    assert r"'fit a bundle\'s decisions" in completion._fish({}, {"adapt": "fit a bundle's decisions"})
    for line in scripts["fish"].splitlines():
        assert line.replace(r"\'", "").count("'") % 2 == 0, line


def test_zsh_and_fish_know_the_same(scripts):
    assert scripts["zsh"].startswith("autoload -U +X bashcompinit && bashcompinit\n")
    assert scripts["zsh"].partition("_emotion()")[2] == scripts["bash"].partition("_emotion()")[2]
    assert "-n __fish_use_subcommand -f -a lr-range -d 'find a learning rate to start from'" in scripts["fish"]
    assert "-n '__fish_seen_subcommand_from evaluate' -l precision\n" in scripts["fish"]
