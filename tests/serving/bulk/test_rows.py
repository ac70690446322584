"""Rows that cannot be read, and characters that cannot be written, as they are: left out or replaced, and said."""

import json

import pytest

from serving import predict
from shared.errors import DataError
from tests.serving.bulk.tables import read, score

pytestmark = pytest.mark.usefixtures("small_parts")


BAD = {
    "in.csv": (b"id,text\n1,fine\n2,so,so\n3,caf\xe9\n4,good\n5\n", [(3, "3 fields"), (4, "byte 0xe9 is not UTF-8"),
               (6, "1 field where")]),
    "in.jsonl": (b'{"id": 1, "text": "fine"}\n{"id": 2,\n[3]\n{"id": 4, "text": "good"}\n{"id": 5, "text": ["a"]}\n'
                 b'{"id": 6, "text": "\xff"}\n', [(2, "not valid JSON"), (3, "expected a JSON object"),
                 (5, "which is no text"), (6, "byte 0xff")]),
    "in.tsv": (b"id\ttext\n1\tfine\n2\tnu\x00l\n4\tgood\n", [(3, "holds a NUL character")]),
    "in.json": (b'[{"id": 1, "text": "fine"}, {"id": 2, "text": "caf\xe9"}, 3, {"id": 4, "text": "good"}]',
                [(2, "byte 0xe9 is not UTF-8"), (3, "expected a JSON object")]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("part_rows", [1, 50])
def test_bad_rows_are_left_out_with_file_line_and_reason(bundle, tmp_path, monkeypatch, capsys, name, part_rows):
    content, expected = BAD[name]
    (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(predict, "PART_ROWS", part_rows)
    target = tmp_path / f"out{name[2:]}"
    with pytest.raises(DataError):
        score(bundle, "--input", tmp_path / name, "--output", target, "--processes", 1)
    assert not target.exists()
    score(bundle, "--input", tmp_path / name, "--output", target, "--bad_rows", "aside", "--processes", 1)
    rows = read(target)
    assert [str(row["id"]) for row in rows] == ["1", "4"]
    bad = [json.loads(line) for line in (tmp_path / f"{target.name}.bad.jsonl").read_text().splitlines()]
    unit = "row" if name == "in.json" else "line"
    assert [(row[unit], reason in row["reason"]) for row, (_, reason) in zip(bad, expected, strict=True)] == [
        (line, True) for line, _ in expected
    ]
    assert {row["file"] for row in bad} == {str(tmp_path / name)}
    assert f"; {len(expected)} bad rows left out, with the reasons in *.bad.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["out.csv", "-"])
def test_characters_that_csv_cannot_hold_are_replaced_and_said_once(bundle, tmp_path, capsysbinary, output):
    (tmp_path / "in.jsonl").write_text('{"text": "i am\\u0000 happy"}\n' * 120)
    target = output if output == "-" else tmp_path / output
    score(bundle, "--input", tmp_path / "in.jsonl", "--output", target, "--output_format", "csv", "--processes", 1)
    printed, said = capsysbinary.readouterr()
    written = printed if output == "-" else target.read_bytes()
    assert written.decode().count("i am\ufffd happy") == 120
    assert (
        said.decode().count("in.jsonl: NUL and half a surrogate pair, which CSV cannot hold, are written as U+FFFD")
        == 1
    )
