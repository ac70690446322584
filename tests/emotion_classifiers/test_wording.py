"""What errors say to a caller from Python: parameters and keys, no options of a command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import emotion_classifiers as ec
from emotion_classifiers.wording import in_python, python_errors
from shared.errors import ConfigError
from tests.serving.bundles import stand_in_bundle


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("optim.lr is '-1' on the command line; allowed: a number.", "optim.lr is '-1'; allowed: a number."),
        ("Use --loss.name bce, or --model.pooling mean.", "Use loss.name bce, or model.pooling mean."),
        ("Leave --context and --dialogue out.", "Leave context and dialogue out."),
        ("Name the column with --text_column.", "Name the column with text."),
        ("--help-all lists every key.", "`emotion train --help-all` lists every key."),
        ("Run: python -m serving.export B --precision int8", "Run: python -m serving.export B --precision int8"),
        ("Run `emotion data get x --accept_licence true`.", "Run `emotion data get x --accept_licence true`."),
        ("well -- no option, nor is a--b", "well -- no option, nor is a--b"),
    ],
)
def test_options_become_parameters_and_commands_stay(said: str, read: str) -> None:
    names = {"text_column": "text", "help-all": "`emotion train --help-all`"}
    assert in_python(said, names) == read
    with pytest.raises(ConfigError, match=f"^{re.escape(read)} {re.escape(read)}$") as caught, python_errors(names):
        raise ConfigError(said, hint=said)
    assert (caught.value.message, caught.value.hint) == (read, read)


def test_a_call_speaks_of_its_parameters(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^unknown key 'optim.lrr' \(did you mean 'optim.lr'\?\)\. `emotion train --"
    ):
        ec.train(**{"optim.lrr": 1})
    (tmp_path / "a.csv").write_text("body,p_joy\nso glad,1\n")
    bundle = stand_in_bundle(tmp_path / "bundle", labels=("joy", "anger"))
    with pytest.raises(ec.errors.DataFormatError, match=r"Name the column with text\.$"):
        ec.score_files(bundle, tmp_path / "a.csv", tmp_path / "b.csv")
    with pytest.raises(ConfigError, match=r"or replace them with overwrite_columns=True\.$"):
        ec.score_files(bundle, tmp_path / "a.csv", tmp_path / "b.csv", text="body")
    (tmp_path / "a.csv").write_text("a,b;c,d\n1,2;3,4\n")
    with pytest.raises(ec.errors.DataFormatError, match=r"Give separator"):
        ec.score_files(bundle, tmp_path / "a.csv", tmp_path / "b.csv")
    ec.score_files(bundle, tmp_path / "a.csv", tmp_path / "b.csv", text="b;c", separator=",", processes=1)
    assert (tmp_path / "b.csv").read_text().startswith("a,b;c,d,predicted_labels,p_joy,p_anger\n1,2;3,4,")
