"""Conversations in tables that are predicted."""

from __future__ import annotations

import csv
import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import emotion_classifiers as ec
from serving import predict, predict_file
from serving.table_turns import whole_dialogues
from shared.context import ContextFormat
from shared.errors import ConfigError, DataFormatError
from shared.tables import open_table
from tests.serving.bulk.tables import write
from tests.serving.bundles import stand_in_bundle

ROWS = [
    {"text": "i won", "who": "Joey", "d": "a"},
    {"text": "really ?", "who": None, "d": "a"},
    {"text": "", "who": "Joey", "d": "a"},
    {"text": "yes , thanks", "who": "Joey", "d": "a"},
    {"text": "so sad", "who": "Ross", "d": "b"},
    {"text": "why ?", "who": "Joey", "d": "b"},
    {"text": "so sad", "who": "Ross", "d": None},
    {"text": "so sad", "who": "Ross", "d": None},
]
CONTEXTS = [None, [{"text": "i won", "speaker": "Joey"}], None, [{"text": "i won", "speaker": "Joey"}, "really ?"],
            None, [{"text": "so sad", "speaker": "Ross"}], None, None]  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("turns") / "bundle", context=ContextFormat(20))


@pytest.fixture(scope="module")
def expected(bundle):
    model = ec.load(bundle, threads=1)
    return model.labels, model.predict([row["text"] for row in ROWS], context=CONTEXTS)


def run(bundle, tmp_path, *options, rows=ROWS, name="in.jsonl"):
    path, output = tmp_path / name, tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    predict.main([str(bundle), "--input", str(path), "--output", str(output), "--processes", "1", *options])
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def check(found, expected):
    labels, answers = expected
    for row, answer in zip(found, answers, strict=True):
        p = [row[f"p_{name}"] for name in labels]
        if answer.error is not None:
            assert p == [None] * len(labels)
        else:
            np.testing.assert_allclose(p, list(answer.probabilities.values()), atol=2e-6)
            assert set(row["predicted_labels"]) == set(answer.labels)


@pytest.mark.parametrize("rows", [1, 3, 4096])
def test_rows_before_in_the_dialogue_are_the_context(bundle, tmp_path, expected, monkeypatch, rows):
    monkeypatch.setattr(predict, "PART_ROWS", rows)
    found = run(bundle, tmp_path, "--dialogue", "d", "--speaker", "who")
    check(found, expected)
    assert [{name: row[name] for name in ROWS[0]} for row in found] == ROWS
    assert not any(name.startswith("smoothed_") for name in found[0])


def test_turns_in_a_column_of_any_form(bundle, tmp_path, expected):
    rows = [{**row, "before": json.dumps(turns) if turns else ""} for row, turns in zip(ROWS, CONTEXTS, strict=True)]
    check(run(bundle, tmp_path, "--context", "before", rows=rows), expected)
    lists = [{**row, "before": turns} for row, turns in zip(ROWS, CONTEXTS, strict=True)]
    check(run(bundle, tmp_path, "--context", "before", rows=lists), expected)


def test_smoothed_columns_begin_anew_with_each_dialogue(bundle, tmp_path, expected, monkeypatch):
    monkeypatch.setattr(predict, "PART_ROWS", 3)
    found = run(bundle, tmp_path, "--dialogue", "d", "--speaker", "who", "--smooth", "0.25")
    check(found, expected)
    for name in expected[0]:
        p = [row[f"p_{name}"] for row in found]
        second = 0.25 * p[0] + 0.75 * p[1]
        smoothed = [p[0], second, None, 0.25 * second + 0.75 * p[3], p[4], 0.25 * p[4] + 0.75 * p[5], p[6], p[7]]
        written = [row[f"smoothed_{name}"] for row in found]
        assert [value is None for value in written] == [value is None for value in smoothed]
        assert [v for v in written if v is not None] == pytest.approx([v for v in smoothed if v is not None], abs=1e-9)


def test_a_bundle_without_context_can_smooth_and_says_that_it_reads_rows_alone(tmp_path, capsys):
    plain = stand_in_bundle(tmp_path / "bundle")
    with pytest.raises(
        ConfigError, match="the bundle was trained without previous turns.*Leave --context and --dialogue"
    ):
        run(plain, tmp_path, "--dialogue", "d")
    found = run(plain, tmp_path, "--dialogue", "d", "--smooth", "0.5")
    assert "note: the bundle reads no previous turns: each row is read alone" in capsys.readouterr().err
    assert found[1]["smoothed_joy"] == pytest.approx((found[0]["p_joy"] + found[1]["p_joy"]) / 2)


def test_a_dialogue_that_goes_on_later_is_refused(bundle, tmp_path):
    rows = [{"text": "a", "d": "x"}, {"text": "b", "d": "y"}, {"text": "c", "d": "x"}]
    with pytest.raises(
        DataFormatError, match=r"in.jsonl, line 3: dialogue 'x' goes on after rows of another one\. Sort"
    ):
        run(bundle, tmp_path, "--dialogue", "d", rows=rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--context", "d", "--dialogue", "d"), "--context and --dialogue are both given"),
        (("--speaker", "who"), "--speaker and --smooth go with --dialogue"),
        (("--context", "d", "--smooth", "0.5"), "--speaker and --smooth go with --dialogue"),
        (("--dialogue", "d", "--smooth", "1"), "smoothing is 1; allowed"),
        (("--dialogue", "nope"), "has no column 'nope'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(bundle, tmp_path, options, message):
    with pytest.raises((ConfigError, DataFormatError), match=message):
        run(bundle, tmp_path, *options)


def test_options_of_tables_do_not_go_with_a_text(bundle):
    with pytest.raises(ConfigError, match="^--output, --dialogue: for tables, which --input names"):
        predict.main([str(bundle), "--text", "a", "--dialogue", "d", "--output", "o.jsonl"])


def test_rows_set_aside_do_not_go_with_turns(bundle, tmp_path):
    with pytest.raises(
        ConfigError, match="--bad_rows aside does not go with --context and --dialogue: a turn would be"
    ):
        run(bundle, tmp_path, "--dialogue", "d", "--bad_rows", "aside")


def test_a_folder_of_tables_by_two_processes_gives_what_one_gives_from_standard_input(
    bundle, tmp_path, monkeypatch, capsysbinary
):
    """Parts of two rows, dialogues of up to four: cut in the middle without smoothing, never with it."""
    monkeypatch.setattr(predict_file, "CHUNK_ROWS", 2)
    monkeypatch.setattr(predict, "PART_ROWS", 2)
    rows = [{**row, "d": row["d"] and f"{row['d']}{time}"} for time in range(4) for row in ROWS]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    for number, smooth in enumerate(((), ("--smooth", "0.25"))):
        turns = ("--dialogue", "d", "--speaker", "who", *smooth)
        output = str(tmp_path / f"out{number}")
        predict.main([str(bundle), "--input", str(tmp_path / "in"), "--output", output, "--processes", "2", *turns])
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        predict.main([str(bundle), "--input", "-", "--format", "jsonl", "--output", "-", "--threads", "1", *turns])
        piped = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
        for name in ("a.jsonl", "b.jsonl"):
            lines = (tmp_path / f"out{number}" / name).read_text(encoding="utf-8").splitlines()
            for one, other in zip(map(json.loads, lines), piped, strict=True):
                numbers = [name for name in one if name.startswith(("p_", "smoothed_"))]
                assert {**one, **dict.fromkeys(numbers)} == {**other, **dict.fromkeys(numbers)}
                expected = [other[name] for name in numbers]
                assert [one[name] for name in numbers] == (expected if None in expected else pytest.approx(expected))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_parts_end_where_dialogues_do(tmp_path, form):
    table = pd.DataFrame({"text": list("abcdefghij"), "d": ["x", "x", "x", "y", "", "", "z", "z", "z", "z"]})
    path = write(tmp_path / f"in.{form}", table)
    for rows, expected in ((1, ["abc", "d", "e", "f", "ghij"]), (4, ["abc", "def", "ghij"]), (9, ["abcdef", "ghij"]),
                           (10, ["abcdef", "ghij"])):  # fmt: skip
        chunks = list(whole_dialogues(open_table([path]).chunks(rows), "d"))
        assert ["".join(chunk.columns["text"]) for chunk in chunks] == expected
        assert [number for chunk in chunks for number in chunk.numbers] == [*open_table([path]).read_all().numbers]
        assert all(len(chunk.json or "-" * len(chunk)) == len(chunk) for chunk in chunks)
        assert all(chunk.arrow is None or chunk.arrow.num_rows == len(chunk) for chunk in chunks)


def test_a_cell_without_turns_in_it_is_named(bundle, tmp_path):
    with pytest.raises(DataFormatError, match=r"in.jsonl, line 1, column 'before': a turn is a text, or an object"):
        run(bundle, tmp_path, "--context", "before", rows=[{"text": "a", "before": [3]}])


def test_a_csv_keeps_its_cells(bundle, tmp_path):
    path, output = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text('text,before\r\nreally ?,"[""i won""]"\r\n', encoding="utf-8", newline="")
    predict.main([str(bundle), "--input", str(path), "--output", str(output), "--threads", "1", "--context", "before"])
    with output.open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["before"] == '["i won"]'
    (answer,) = ec.load(bundle, threads=1).predict(["really ?"], context=["i won"])
    assert float(row["p_joy"]) == pytest.approx(answer.probabilities["joy"], abs=2e-6)
