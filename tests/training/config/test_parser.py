"""Options: every mistake is named, with what is allowed and the nearest key."""

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from shared.errors import ConfigError
from training.config import Config, OptimConfig, RunConfig, SourceConfig, experiments, load
from training.config.evaluate import DriftOptions, EvaluateOptions
from training.config.experiments import Dimension, SearchOptions, default_space
from training.config.parser import parse_options
from training.config.schema import CHANGES_NOTHING
from training.config.types import Dropout, PositiveInt
from training.config.values import describe


def parse(*argv):
    return parse_options(Config, argv, prog="train", description="Train.")[0]


def fails(*argv):
    with pytest.raises(ConfigError) as caught:
        parse(*argv)
    return str(caught.value)


def test_no_argument_gives_the_defaults():
    assert parse() == Config()


def test_the_command_line_wins_over_the_file_and_the_file_over_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    path.write_text("optim: {lr: 2e-5, epochs: 3}\nrun: {name: from-file}\n")
    monkeypatch.setenv("EMOTION_TRAIN_OPTIM__EPOCHS", "9")
    monkeypatch.setenv("EMOTION_TRAIN_OPTIM__CLIP_NORM", "0.5")
    config = parse("--config", str(path), "--run.name=from-line")
    assert (config.run.name, config.optim.lr, config.optim.epochs, config.optim.clip_norm) == (
        "from-line",
        2e-5,
        3,
        0.5,
    )


def test_a_written_configuration_reads_back_equal(tmp_path):
    config = Config(run=RunConfig(name="7"), optim=OptimConfig(lr=1e-5, warmup_ratio=0.15))
    config.write(tmp_path / "training.yaml")
    assert parse("--config", str(tmp_path / "training.yaml")) == config


def test_values_from_the_command_line_are_written_as_plain_yaml(tmp_path):
    parse("--optim.lr", "1e-4", "--optim.batch_size", "8").write(tmp_path / "training.yaml")
    content = yaml.safe_load((tmp_path / "training.yaml").read_text())
    assert content["optim"]["lr"] == 1e-4
    assert content["optim"]["batch_size"] == 8


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--optim.lrr", "1"], "unknown key 'optim.lrr' on the command line (did you mean 'optim.lr'?)."),
        (["--lr", "1"], "unknown key 'lr' on the command line (did you mean 'optim.lr'?)."),
        (["--data.pth", "x"], "unknown key 'data.pth' on the command line (did you mean 'data.path'?)."),
        (["--optim.schedule", "cosin"], "optim.schedule is 'cosin' on the command line; allowed: linear, cosine"),
        (["--optim.lr", "-1"], "optim.lr is '-1' on the command line; allowed: a number > 0."),
        (["--optim.lr", "fast"], "optim.lr is 'fast' on the command line; allowed: a number > 0."),
        (["--optim.batch_size=2.5"], "optim.batch_size is '2.5' on the command line; allowed: a whole number > 0."),
        (["--run.resume", "perhaps"], "run.resume is 'perhaps' on the command line; allowed: true, false."),
        (["--optim.lr"], "--optim.lr needs a value."),
        (["stray"], "unexpected argument 'stray'."),
        (["--optim", "x"], "'optim' on the command line is a section; its keys are set one by one."),
        (["--data.sources", "[{kind: sampel}]"], "kind in an entry of data.sources is 'sampel'; allowed: sample, "),
        (
            ["--data.sources", "[{kid: sample}]"],
            "unknown key 'kid' in an entry of data.sources (did you mean 'kind'?).",
        ),
        (
            ["--data.sources", "[{kind: sample, weight: 1, weight: 2}]"],
            "data.sources on the command line: the key 'weight' stands twice: 1, then 2.",
        ),
        (["--data.sources", "sample"], "data.sources is 'sample' on the command line; allowed: a list of entries with"),
        (["--config", "nowhere.yaml"], "no configuration file at "),
    ],
)
def test_a_mistake_is_one_line_that_says_what_is_allowed(argv, message):
    said = fails(*argv)
    assert message in said
    assert "\n" not in said


def test_all_mistakes_are_told_at_once(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("optim: {lrr: 1}\nbogus: 3\n")
    said = fails("--config", str(path), "--tuning.method", "lore")
    assert said.startswith("3 problems: ")
    assert all(part in said for part in ("'optim.lrr' in ", "'bogus' in ", "tuning.method is 'lore'"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("optim: [", "is not valid YAML"),
        ("optim:\n  lr: 1\n  lr: [2,\n  3]", "is not valid YAML: the key 'lr' stands twice: 1, then [2, 3] in line 3."),
        ("optim.lr: 1\noptim: {lr: 2}", "optim.lr stands twice in "),
        (
            "data:\n  sources: [{kind: sample, weight: 1, weight: 2}]",
            "the key 'weight' stands twice: 1, then 2 in line 2.",
        ),
        ("- lr", "must hold sections with keys"),
        ("optim: 3", "'optim' in "),
    ],
)
def test_a_broken_file_is_explained(tmp_path, content, message):
    path = tmp_path / "config.yaml"
    path.write_text(content)
    assert message in fails("--config", str(path))


def test_an_unknown_variable_names_the_nearest(monkeypatch):
    monkeypatch.setenv("EMOTION_TRAIN_OPTIM__LERNING", "1")
    assert "unknown variable EMOTION_TRAIN_OPTIM__LERNING." in fails()  # near to nothing: no hint misleads
    monkeypatch.setenv("EMOTION_TRAIN_OPTIM__LEARNING_RATE", "1")
    assert "EMOTION_TRAIN_OPTIM__LEARNING_RATE (did you mean EMOTION_TRAIN_OPTIM__LR?)" in fails()


def test_a_variable_of_runs_is_no_mistake_for_another_command(monkeypatch):
    monkeypatch.setenv("EMOTION_TRAIN_OPTIM__LR", "0.01")
    monkeypatch.setenv("EMOTION_TRAIN_DATA__TEXT_COLUMN", "body")
    options, _ = parse_options(EvaluateOptions, [], prog="test", description="")
    assert options.data.text_column == "body"
    monkeypatch.setenv("EMOTION_TRAIN_OPTIM__LRR", "0.01")
    with pytest.raises(ConfigError, match=r"unknown variable EMOTION_TRAIN_OPTIM__LRR\."):
        parse_options(EvaluateOptions, [], prog="test", description="")


def test_the_recipe_of_a_training_is_no_mistake_for_another_command(monkeypatch, tmp_path):
    monkeypatch.setenv("EMOTION_TRAIN_CONFIG", "goemotions_starter")  # run.name, optim.lr and others beside data.source
    options, _ = parse_options(EvaluateOptions, [], prog="test", description="")
    assert (options.data.source, options.data.max_length) == ("goemotions", 64)
    assert parse_options(DriftOptions, [], prog="test", description="")[0] == DriftOptions()
    (tmp_path / "config.yaml").write_text("optim: {lrr: 1}\n")
    monkeypatch.setenv("EMOTION_TRAIN_CONFIG", str(tmp_path / "config.yaml"))
    with pytest.raises(ConfigError, match=r"^unknown key 'optim\.lrr' in "):
        parse_options(EvaluateOptions, [], prog="test", description="")
    with pytest.raises(ConfigError, match="^14 problems: unknown key 'run.name' in "):
        parse_options(
            EvaluateOptions, ["--config", "goemotions_starter"], prog="test", description="", environment=False
        )


def test_a_wrong_value_in_the_environment_names_the_variable(monkeypatch):
    monkeypatch.setenv("EMOTION_TRAIN_OPTIM__LR", "-3")
    assert "optim.lr is '-3' in $EMOTION_TRAIN_OPTIM__LR" in fails()


def test_print_config_gives_yaml_that_reads_back(capsys, tmp_path):
    with pytest.raises(SystemExit) as caught:
        parse("--optim.lr", "3e-5", "--print_config")
    assert caught.value.code == 0
    path = tmp_path / "printed.yaml"
    path.write_text(capsys.readouterr().out)
    assert parse("--config", str(path)).optim.lr == 3e-5


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (bool, "true, false"),
        (int, "a whole number"),
        (str | None, "a text or null"),
        (PositiveInt | None, "a whole number > 0 or null"),
        (Dropout, "a number >= 0 and < 1"),
        (dict[str, int], "pairs like {a: b}, each b a whole number"),
        (list[str], "a list like [a, b], each a text"),
    ],
)
def test_types_are_described_in_words(hint, words):
    assert describe(hint) == words


@pytest.mark.parametrize(
    ("argv", "allowed"),
    [
        ("--model.hidden_dropout=1.0", "a number >= 0 and < 1 or null"),
        ("--model.head_activation=relu", "auto, gelu, tanh, none or null"),
        ("--data.folds=1", "a whole number >= 2 or null"),
        ("--run.seed=-1", "a whole number >= 0 and < 4294967296"),
        ("--data.seed=4294967296", "a whole number >= 0 and < 4294967296"),
        ("--data.sampling.oversample_factor=0.5", "a number >= 1"),
        ("--data.dev_fraction=0", "a number > 0 and < 1"),
        ("--data.test_fraction=1", "a number >= 0 and < 1"),
        ("--optim.ema_decay=1", "a number >= 0 and < 1 or null"),
        ("--optim.layer_decay=0", "a number > 0 and <= 1"),
        ("--optim.lr=nan", "a number > 0"),
    ],
)
def test_what_cannot_work_is_refused_with_both_bounds(argv, allowed):
    assert f" on the command line; allowed: {allowed}." in fails(argv)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--data.dev_fraction=0.6", "--data.test_fraction=0.4"], "their sum below 1"),
        (["--data.folds=3", "--data.fold=4"], "data.folds is 3 and data.fold 4"),
        (["--model.top_dropout=0.2"], "model.bottom_dropout is None and model.top_dropout 0.2; give both, or neither."),
        (
            ["--tuning.unfreeze=plateau", "--tuning.unfreeze_every=1.5"],
            "tuning.unfreeze_every is 1.5; with tuning.unfreeze plateau it counts evaluations and must be a whole",
        ),
        (["--optim.schedule=plateau", "--optim.plateau_patience=3"], "the run would stop before anything is done"),
    ],
)
def test_values_that_do_not_go_together_are_refused_before_anything_is_read(argv, message):
    assert message in fails(*argv)


def test_a_plus_adds_to_a_list():
    assert parse("--watch.trackers+", "mlflow").watch.trackers == ["tensorboard", "mlflow"]
    assert parse("--watch.trackers=[]", "--watch.trackers+=mlflow").watch.trackers == ["mlflow"]


def test_a_missing_positional_argument_is_named():
    with pytest.raises(ConfigError, match=r"BUNDLE is missing: Folder of the bundle. See: evaluate --help"):
        parse_options(Config, [], prog="evaluate", description="", positionals={"bundle": "Folder of the bundle."})


def test_the_defaults_file_is_what_a_run_without_arguments_does():
    path = Path(__file__).parents[3] / "configs/default.yaml"
    read, bare = parse("--config", str(path)).flat(), Config().flat()
    assert {key: (read[key], bare[key]) for key in bare if read[key] != bare[key]} == {}


def test_entries_are_appended_as_entries():
    config = parse("--data.sources+", "{kind: isear, path: x}", "--data.sources+", "[{kind: sample}]")
    assert config.data.sources == [SourceConfig(kind="isear", path="x"), SourceConfig(kind="sample")]
    options, _ = parse_options(
        SearchOptions, ["--search.space+", "{key: optim.epochs, low: 1, high: 3}"], prog="test", description=""
    )
    assert options.search.space == [*default_space(), Dimension("optim.epochs", 1, 3)]
    assert "kind in an entry of data.sources is 'sampel'" in fails("--data.sources+", "{kind: sampel}")
    assert "data.sources is 'sample' on the command line; allowed: a list of" in fails("--data.sources+", "sample")


def test_values_are_appended_to_a_list_that_may_be_null():
    assert parse("--data.labels+", "joy").data.labels == ["joy"]
    assert parse("--data.labels", "[joy]", "--data.labels+", "anger").data.labels == ["joy", "anger"]


def test_text_in_a_file_is_what_stands_there(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "run: {name: 2026-11-28, overwrite: yes, resume: off}\n"
        "data: {languages: [no, de], label_column: yes, header: false}\n"
    )
    config = load(path)
    assert (config.run.name, config.run.overwrite, config.run.resume) == ("2026-11-28", True, False)
    assert (config.data.languages, config.data.label_column, config.data.header) == (["no", "de"], "yes", False)
    assert load(overrides={"data.path": Path("x.csv")}).data.path == "x.csv"


def test_load_takes_a_file_and_values_by_key_or_section(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    path.write_text("optim: {lr: 2e-5, epochs: 3}\n")
    monkeypatch.setenv("EMOTION_TRAIN_OPTIM__EPOCHS", "9")  # a call does not depend on the environment
    config = load(path, {"optim.lr": 1e-3, "run": {"name": "mine"}, "eval.patience": None})
    assert (config.optim.lr, config.optim.epochs, config.run.name, config.eval.patience) == (1e-3, 3, "mine", None)
    assert load() == Config()
    assert load(overrides={"data.sources": [{"kind": "isear", "path": "x"}]}).data.sources == [
        SourceConfig(kind="isear", path="x")
    ]


def test_load_tells_every_mistake_as_the_command_line_does():
    with pytest.raises(ConfigError) as caught:
        load(None, {"optim.learning_rate": 1, "optim.batch_size": 2.5, "run": {"resume": "perhaps"}})
    said = str(caught.value)
    assert said.startswith("3 problems: unknown key 'optim.learning_rate' in the call (did you mean 'optim.lr'?).")
    assert "optim.batch_size is '2.5' in the call; allowed: a whole number > 0." in said
    assert "run.resume is 'perhaps' in the call; allowed: true, false." in said


def test_keys_that_change_a_result_are_told_from_those_that_do_not():
    saved = Config(run=RunConfig(name="other", threads=3), optim=OptimConfig(lr=1.0)).to_dict()
    del saved["data"]
    assert Config().differences(saved) == ["optim.lr"]
    assert set(Config().flat()) >= CHANGES_NOTHING


def test_a_section_of_another_command_names_that_command():
    said = fails("--config", "goemotions_student")
    assert said.startswith("2 problems: unknown key 'teachers.recipe' in ")
    assert said.endswith("The section teachers is of `python -m training.distill`: give it this configuration.")


def test_every_section_of_an_experiment_has_its_command():
    added = {
        item.name: options.__doc__
        for options in vars(experiments).values()
        if isinstance(options, type) and issubclass(options, Config)
        for item in fields(options)
    }
    sections = set(added) - {item.name for item in fields(Config)}
    assert sections == set(experiments.COMMANDS)
    assert all(f"`python -m {experiments.COMMANDS[name]}`" in str(added[name]) for name in sections)
