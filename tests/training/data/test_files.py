import pytest

from shared.errors import DataFormatError, DataNotFoundError, EmptyDataError
from training.data.files import existing, read_lines, read_text


def test_wrong_byte_is_named_by_file_line_and_offset(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_bytes("füür\nsecond ".encode() + b"\xe9 line\n")
    with pytest.raises(DataFormatError, match=r"rows.tsv is not UTF-8: byte 0xe9 in line 2, byte offset 14\."):
        read_text(path)


def test_utf16_is_called_by_its_name(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n", encoding="utf-16")
    with pytest.raises(DataFormatError, match="is UTF-16, not UTF-8"):
        read_text(path)


def test_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n", encoding="utf-8-sig")
    assert read_text(path) == "text,label\n"


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_empty_file_is_an_error(tmp_path, content):
    path = tmp_path / "rows.csv"
    path.write_text(content)
    with pytest.raises(EmptyDataError, match=r"rows.csv is empty\."):
        read_text(path)


def test_only_lf_and_crlf_end_a_line(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_bytes("one\u2028still one\r\ntwo\x85still two\n\n".encode())
    assert read_lines(path) == ["one\u2028still one", "two\x85still two"]


def test_missing_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"the table not found: looked for .*nothing.csv. Make one\."):
        existing(tmp_path / "nothing.csv", "the table", "Make one.")
