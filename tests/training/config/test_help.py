"""Help: a first screen for a person, a section, or every key; nothing without a meaning."""

from itertools import pairwise

import pytest

from shared.errors import ConfigError
from training.config import Config
from training.config.evaluate import CompareOptions, DriftOptions, EvaluateOptions
from training.config.experiments import SearchOptions
from training.config.parser import parse_options


def asked(capsys, *argv, options_type=Config, **more):
    with pytest.raises(SystemExit) as ended:
        parse_options(options_type, argv, prog="train", description="Train.", **more)
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_first_screen_fits_a_terminal_and_names_every_section(capsys):
    said = asked(capsys, "--help", examples=["--optim.lr 1e-4"])
    lines = said.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 112
    assert all(any(line.split()[:1] == [section] for line in lines) for section in Config().to_dict())
    assert "--optim.lr          [0.0002] Highest learning rate of the encoder" in said
    assert "  train --optim.lr 1e-4" in said
    assert asked(capsys, "-h") != ""


def test_everything_has_every_key_once_with_type_default_and_meaning(capsys):
    lines = asked(capsys, "--help-all").splitlines()
    keys = [line.split()[0] for line in lines if line.startswith("  --")]
    assert sorted(keys) == sorted(f"--{key}" for key in Config().flat())
    meanings = [after for line, after in pairwise(lines) if line.startswith("  --")]
    assert all(after.startswith("      ") for after in meanings)
    said = " ".join(" ".join(lines).split())
    assert "--optim.warmup_ratio (a number >= 0 and <= 1; default 0.1) Share of all steps in which the learning" in said


@pytest.mark.parametrize("argv", [["--help", "distill"], ["--distill.help"]])
def test_one_section_has_its_keys_alone(capsys, argv):
    said = asked(capsys, *argv)
    assert said.startswith("distill: Learning from other models beside the labels.")
    assert [line.split()[0] for line in said.splitlines() if line.startswith("  --")] == [
        "--distill.teachers", "--distill.weight", "--distill.temperature", "--distill.precision",
    ]  # fmt: skip


def test_one_key_is_explained(capsys):
    said = asked(capsys, "--help", "run.seed")
    assert said.startswith("  --run.seed  (a whole number >= 0 and < 4294967296; default 42)\n      Seed of")


def test_an_unknown_topic_names_the_nearest(capsys):
    with pytest.raises(ConfigError, match=r"no section or key 'optm' \(did you mean 'optim'\?\). Sections: run, data"):
        parse_options(Config, ["--help", "optm"], prog="train", description="")


def test_a_commands_own_keys_come_first(capsys):
    said = asked(capsys, "--help", options_type=SearchOptions)
    assert said.index("--search.trials") < said.index("--data.source")
    said = asked(capsys, "--help", options_type=EvaluateOptions, positionals={"bundle": "Folder of the bundle."})
    assert "usage: train BUNDLE [--config F.yaml]" in said
    assert "Folder for metrics.json, report.html" in said


def test_arguments_of_any_number_are_in_the_usage_and_no_part_of_the_name(capsys):
    said = asked(capsys, "--help", options_type=CompareOptions, several="BUNDLE ...", examples=["a b"])
    assert said.startswith("usage: train BUNDLE ... [--config F.yaml]")
    assert "\n  train a b\n" in said


@pytest.mark.parametrize(
    ("options_type", "variable"),
    [(Config, "EMOTION_TRAIN_OPTIM__LR=1e-4"), (CompareOptions, "EMOTION_TRAIN_DATA__PATH=mine.csv")],
)
def test_the_variable_that_is_shown_is_one_of_the_command(capsys, monkeypatch, options_type, variable):
    assert f"In the environment: {variable}." in asked(capsys, "--help", options_type=options_type)
    monkeypatch.setenv(*variable.split("="))
    options, _ = parse_options(options_type, [], prog="train", description="")
    assert (options.optim.lr == 1e-4) if options_type is Config else (options.data.path == "mine.csv")


def test_a_command_without_sections_names_none(capsys):
    said = asked(capsys, "--help", options_type=DriftOptions)
    assert "sections" not in said
    assert "EMOTION_TRAIN" not in said


def test_no_variable_is_shown_where_none_counts(capsys):
    assert "EMOTION_TRAIN" not in asked(capsys, "--help", options_type=CompareOptions, environment=False)


def test_help_wins_over_mistakes(capsys):
    assert "usage: train" in asked(capsys, "--optim.lrr", "1", "--help")
