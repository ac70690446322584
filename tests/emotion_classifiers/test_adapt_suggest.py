"""`emotion adapt --suggest`: a table to fill in, which `--data` takes back."""

from __future__ import annotations

import csv
import json
import shlex

import numpy as np
import pytest

from emotion_classifiers.adapt import main
from serving.predictor import Predictor
from shared.errors import ConfigError, EmptyDataError
from tests.helpers import WORDS
from tests.serving.bundles import stand_in_bundle

LABELS = ("joy", "sadness", "anger", "neutral")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("suggest") / "bundle", labels=LABELS)


@pytest.fixture
def texts(tmp_path):
    draw = np.random.default_rng(0)
    found = [" ".join(draw.choice(WORDS, 8)) + f", {number}" for number in range(120)]
    with (tmp_path / "texts.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["text"], *([text] for text in found)])
    return found


def fill_in(bundle, path) -> int:
    """Answer every suggested text but the last as the model's logits say."""
    with path.open(newline="") as stream:
        header, *rows = csv.reader(stream)
    logits = Predictor.load(bundle, threads=1).logits([text for text, _ in rows])
    for row, values in zip(rows[:-1], logits, strict=False):
        row[1] = ", ".join(name for name, value in zip(LABELS, values, strict=True) if value > 0.5) or "neutral"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return len(rows) - 1


def test_the_suggested_table_is_filled_in_and_taken_back(bundle, texts, tmp_path, capsys):
    main([str(bundle), "--suggest", "50", str(tmp_path / "texts.csv"), "--threads", "1"])
    *page, line = capsys.readouterr().out.splitlines()
    content = json.loads(line)
    suggested = tmp_path / "texts-suggested.csv"
    assert content["suggested"] == str(suggested)
    assert (content["texts"], content["of"], content["labelled_before"]) == (50, 120, 0)
    with suggested.open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["text", "labels"]
    assert all(label == "" for _, label in rows)
    assert len({text for text, _ in rows} & set(texts)) == 50
    command = shlex.split(next(line for line in page if line.startswith("Then: ")))[2:]
    assert command[0] == "adapt"
    answered = fill_in(bundle, suggested)
    main([*command[1:], "--output", str(tmp_path / "child"), "--threads", "1"])
    content = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (content["rows"], content["unlabelled_texts"]) == (answered, 120)


def test_what_is_labelled_is_not_suggested_again_and_a_curve_says_what_more_would_bring(
    bundle, texts, tmp_path, capsys
):
    source = str(tmp_path / "texts.csv")
    main([str(bundle), "--suggest", "60", source, "--output", str(tmp_path / "first.csv"), "--threads", "1"])
    fill_in(bundle, tmp_path / "first.csv")
    capsys.readouterr()
    main([str(bundle), "--suggest", "20", source, "--data", str(tmp_path / "first.csv"), "--data.annotated", "all",
          "--output", str(tmp_path / "new/second.csv"), "--threads", "1"])  # fmt: skip
    *page, line = capsys.readouterr().out.splitlines()
    content = json.loads(line)
    first, second = ((tmp_path / name).read_text().splitlines()[1:] for name in ("first.csv", "new/second.csv"))
    answered = {row[0] for row in csv.reader(first) if row[1]}
    assert not answered & {row[0] for row in csv.reader(second)}
    assert content["labelled_before"] == 59
    value, low, high = content["learning_curve"]["gain"]
    assert low <= value <= high
    assert any("20 more would bring about" in line for line in page)


def test_a_table_that_is_being_filled_in_is_not_overwritten(bundle, texts, tmp_path):
    (tmp_path / "texts-suggested.csv").write_text("my answers")
    with pytest.raises(ConfigError, match="is there already. Fill it in, or give another --output"):
        main([str(bundle), "--suggest", "5", str(tmp_path / "texts.csv")])
    with pytest.raises(ConfigError, match="--suggest needs texts. For example: --suggest 50 texts.csv"):
        main([str(bundle), "--suggest", "5"])


def test_an_untouched_table_is_said_to_be_one_and_an_empty_one_is_not_written(bundle, tmp_path, capsys):
    path = tmp_path / "my texts.csv"
    path.write_text("body,number\ni am happy,1\ni am sad,2\n")
    main([str(bundle), "--suggest", "2", str(path), "--text_column", "body", "--threads", "1"])
    command = shlex.split(next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Then: ")))
    assert command[-4:] == ["--unlabelled", str(path), "--text_column", "body"]
    suggested = tmp_path / "my texts-suggested.csv"
    with pytest.raises(EmptyDataError, match=r"no row of .*my texts-suggested\.csv has a label: labels are blank"):
        main(command[3:])
    suggested.write_text("text,labels\ni am happy,joy\ni am sad,sadness\n")
    with pytest.raises(ConfigError, match=r"no text of .*my texts\.csv is left to suggest: each is labelled already"):
        main([*command[3:], "--suggest", "2", "--output", str(tmp_path / "more.csv")])
