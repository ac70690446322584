"""Bytes to text: UTF-8, what a byte order mark says, or the encoding named; a wrong byte is named by its line."""

import gzip
import io

import pytest

from shared.errors import ConfigError, DataFormatError
from shared.tables import TableOptions, open_table

ROWS = "text,label\ncafé ☕ “so”,joy\nнет,fear\n"
COLUMNS = {"text": ["café ☕ “so”", "нет"], "label": ["joy", "fear"]}


def read(path, content, **options):
    path.write_bytes(content)
    table = open_table(path, TableOptions(**options))
    return dict(table.read_all().columns), table.notes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("named", [True, False])
def test_byte_order_mark_tells_the_encoding_named_or_not(tmp_path, encoding, named):
    content, notes = read(tmp_path / "a.csv", ROWS.encode(encoding), encoding=encoding if named else None)
    assert content == COLUMNS
    unusual = encoding in ("utf-16", "utf-32") and not named
    assert notes == [f"{tmp_path}/a.csv is {encoding.upper()}-LE, by its byte order mark"] * unusual


def test_big_endian_with_its_mark(tmp_path):
    assert read(tmp_path / "a.csv", b"\xfe\xff" + ROWS.encode("utf-16-be"))[0] == COLUMNS
    assert read(tmp_path / "a.csv", b"\x00\x00\xfe\xff" + ROWS.encode("utf-32-be"))[0] == COLUMNS


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("cp1252", "“né”…"), ("latin-1", "né"), ("cp1251", "нет"), ("gb18030", "高兴"), ("utf-16-le", "né")],
)
def test_other_encodings_are_named(tmp_path, encoding, text):
    content, notes = read(tmp_path / "a.csv", f"text,label\n{text},joy\n".encode(encoding), encoding=encoding)
    assert (content["text"], notes) == ([text], [])


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            "text\nok\ncafé\n".encode("cp1252"),
            {},
            r"not UTF-8: byte 0xe9 in line 3, byte offset 11\..*data.encoding cp1252",
        ),
        (b"\xef\xbb\xbftext\n\xff\n", {}, r"not UTF-8: byte 0xff in line 2, byte offset 8\."),
        (
            b"text\nok\x81\n",
            {"encoding": "cp1252"},
            r"not cp1252: byte 0x81 in line 2, byte offset 7\..*its real encoding",
        ),
        (ROWS.encode("utf-16-le"), {}, r"give data.encoding utf-16-le"),
        ("text\nab\n".encode("utf-16-le"), {}, r"line 1: holds a NUL character.*give data.encoding utf-16-le"),
        (b"text\nok\na\x00b\n", {}, r"line 3: holds a NUL character"),
        (ROWS.encode("utf-16"), {"encoding": "utf-8"}, r"byte order mark of UTF-16-LE, and data.encoding says 'utf-8'"),
    ],
)
def test_bytes_that_are_not_of_the_encoding_are_named(tmp_path, content, options, message):
    with pytest.raises(DataFormatError, match=message):
        read(tmp_path / "a.csv", content, **options)


def test_wrong_byte_far_into_a_file_is_named_by_its_line_and_offset(tmp_path):
    rows = b"text,label\n" + "café,joy\n".encode() * 100_000
    with pytest.raises(DataFormatError, match=rf"byte 0xe9 in line 100002, byte offset {len(rows) + 3}\."):
        read(tmp_path / "a.csv", rows + "café,joy\n".encode("cp1252"))


@pytest.mark.parametrize("name", ["utf-9", "base64", "hex"])
def test_unknown_encoding_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=rf"data.encoding is '{name}', which is no encoding that Python knows"):
        read(tmp_path / "a.csv", b"text\na\n", encoding=name)


def test_utf8_that_is_read_as_something_else_is_said(tmp_path):
    content, notes = read(tmp_path / "a.csv", "text,label\ncafé,joy\n".encode(), encoding="cp1252")
    assert content["text"] == ["cafÃ©"]
    assert notes == [f"{tmp_path}/a.csv is read as cp1252, as said, though all its bytes are valid UTF-8 too"]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv"])
def test_gzip_is_unpacked_whatever_the_name(tmp_path, name):
    assert read(tmp_path / name, gzip.compress(ROWS.encode()))[0] == COLUMNS


def test_damaged_gzip_is_an_error(tmp_path):
    packed = gzip.compress(ROWS.encode() * 50)
    with pytest.raises(DataFormatError, match=r"a.csv.gz is damaged"):
        read(tmp_path / "a.csv.gz", packed[:-20])


@pytest.mark.parametrize("form", ["csv", "jsonl", "txt", "parquet"])
@pytest.mark.parametrize("packed", [True, False])
def test_standard_input_is_read_as_a_file_is(tmp_path, form, packed):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a", "b"]}), path)
    content = {
        "csv": b"text\na\nb\n",
        "jsonl": b'{"text":"a"}\n{"text":"b"}',
        "txt": b"a\nb\n",
        "parquet": path.read_bytes(),
    }
    stream = io.BytesIO(gzip.compress(content[form]) if packed else content[form])
    table = open_table("-", TableOptions(format=form), stream)
    assert table.name == "standard input"
    assert dict(table.read_all().columns) == {"text": ["a", "b"]}


def test_standard_input_may_be_surveyed_before_it_is_read():
    table = open_table("-", TableOptions(format="jsonl"), io.BytesIO(b'{"a": 1}\n' * 200 + b'{"b": 2}\n'))
    assert table.all_columns() == ["a", "b"]
    assert table.read_all().columns["b"][-2:] == [None, 2]


def test_standard_input_is_read_once():
    table = open_table("-", TableOptions(format="csv"), io.BytesIO(b"text\na\n"))
    assert len(table.read_all()) == 1
    with pytest.raises(RuntimeError, match=r"standard input is opened a second time without spool"):
        table.read_all()


def test_format_of_standard_input_must_be_said():
    with pytest.raises(ConfigError, match=r"format of standard input is not known\. Give --format, for example csv"):
        open_table("-", TableOptions(prefix="--"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PAR1\x15\x04\x15\x00PAR1", r"is a Parquet file, by its first bytes, and .* or give data.format parquet\."),
        (b"PK\x03\x04\x14\x00", r"is a ZIP archive or a workbook, .* or give data.format xlsx\."),
        (b"BZh91AY&SY\xb3\xcf", r"is compressed by bzip2, by its first bytes, .*\. Unpack or export it first\."),
        (gzip.compress(gzip.compress(b"text\n", mtime=0), mtime=0), r"is compressed a second time"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 1\n",
            r"is a pointer of Git LFS .* lfs pull",
        ),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
def test_what_is_no_table_of_text_is_called_by_its_name(tmp_path, name, content, message):
    with pytest.raises(DataFormatError, match=message):
        read(tmp_path / name, content)


def test_a_text_that_begins_like_another_file_is_read(tmp_path):
    assert read(tmp_path / "a.csv", b"PAR1,BZh\n1,2\n")[0] == {"PAR1": ["1"], "BZh": ["2"]}
