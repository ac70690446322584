"""Help, the resolved configuration and a mistake are answered at once: nothing heavy is loaded for them."""

import subprocess
import sys

import pytest

SCRIPT = """
import runpy, sys
module, argv = sys.argv[1], sys.argv[2:]
sys.argv = [module, *argv]
try:
    runpy.run_module(module, run_name="__main__")
except SystemExit as ended:
    code = ended.code or 0
heavy = {"torch", "transformers", "datasets", "pandas", "sklearn", "scipy", "matplotlib", "optuna"} & set(sys.modules)
print("heavy:", *sorted(heavy), file=sys.stderr)
sys.exit(code)
"""
COMMANDS = ("run", "evaluate", "preflight", "lr_range", "sweep", "distill", "kfold", "phases", "search", "data")


def answer(command, *argv):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, f"training.{command}", *argv], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command):
    said = answer(command, "--help")
    assert (said.returncode, said.stderr) == (0, "heavy:\n")
    assert f"usage: python -m training.{command}" in said.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_mistake_loads_nothing_heavy(command):
    said = answer(command, "--data.sauce=x")
    assert said.returncode == 2
    assert said.stderr.splitlines()[0].startswith("error: unknown key 'data.sauce' on the command line")
    assert said.stderr.splitlines()[1:] == ["heavy:"]


def test_the_resolved_configuration_is_printed_without_anything_heavy():
    said = answer("run", "--print_config")
    assert (said.returncode, said.stderr) == (0, "heavy:\n")
    assert "optim:" in said.stdout
