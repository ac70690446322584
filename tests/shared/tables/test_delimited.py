"""Delimited files: separators, quotes, headers; what can be read in two ways is refused with both readings."""

import csv
import threading

import psutil
import pytest

from shared.errors import ConfigError, DataFormatError, EmptyDataError
from shared.tables import TableOptions, chunk, open_table


def opened(path, content, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_table(path, TableOptions(**options))


def read(path, content, **options):
    return dict(opened(path, content, **options).read_all().columns)


@pytest.mark.parametrize(
    ("content", "line", "fields", "header"),
    [
        ("text\nThank you, that was kind\n", 2, 2, 1),
        ("text,id\nhappy, very happy,1\nsad,2\n", 2, 3, 2),
        ("text,id\nfine,1\nsad\n", 3, 1, 2),
        ('text,id\n"two\nlines",1\nthree,2,x\n', 4, 3, 2),
        ("text;id\nfine;1\nso; so;2\n", 3, 3, 2),
        ("text,id\nfine,1,\n", 2, 3, 2),
    ],
)
def test_row_that_does_not_fit_its_header_is_an_error_with_file_and_line(tmp_path, content, line, fields, header):
    words = f"a.csv, line {line}: {fields} field{'s' * (fields > 1)} where the header has {header}\\."
    with pytest.raises(DataFormatError, match=words):
        read(tmp_path / "a.csv", content)


def test_tsv_row_with_another_number_of_tabs_is_an_error(tmp_path):
    with pytest.raises(DataFormatError, match=r"a.tsv, line 3: 3 fields where the header has 2\..*tab-separated"):
        read(tmp_path / "a.tsv", "text\tlabel\nfine\tjoy\nso\tso\tjoy\n")


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("a.csv", "text;label\na, b;joy\nc;fear\n", "semicolon-separated"),
        ("a.csv", "text\tlabel\na, b\tjoy\nc\tfear\n", "tab-separated"),
        ("a.csv", "text|label\na, b|joy\nc|fear\n", "pipe-separated"),
        ("a.tsv", "text;label\na, b;joy\nc;fear\n", "semicolon-separated"),
        ("a.csv", "sep=;\ntext;label\na, b;joy\nc;fear\n", None),
        ("a.csv", '"sep=|"\r\ntext|label\r\na, b|joy\r\nc|fear\r\n', None),
    ],
)
def test_separator_is_the_only_one_that_fits_and_an_unusual_one_is_said(tmp_path, name, content, note):
    table = opened(tmp_path / name, content)
    assert table.read_all().columns == {"text": ["a, b", "c"], "label": ["joy", "fear"]}
    assert table.notes == ([] if note is None else [f"{tmp_path / name} is {note}"])


def test_two_separators_that_fit_equally_are_refused_with_both_readings(tmp_path):
    content = "a,b;c,d\n1,2;3,4\n"
    message = (
        r"2 ways \(by comma: 3 columns 'a', 'b;c', 'd'; by semicolon: 2 columns 'a,b', 'c,d'\)\. "
        r"Give data.separator the right one: comma, semicolon\."
    )
    with pytest.raises(DataFormatError, match=message):
        read(tmp_path / "a.csv", content)
    assert read(tmp_path / "a.csv", content, separator="semicolon") == {"a,b": ["1,2"], "c,d": ["3,4"]}
    assert read(tmp_path / "a.csv", content, separator=",") == {"a": ["1"], "b;c": ["2;3"], "d": ["4"]}


@pytest.mark.parametrize("separator", ["ab", "", '"', "\n"])
def test_separator_is_one_character_or_a_word_for_it(tmp_path, separator):
    with pytest.raises(ConfigError, match=r"must be one character, or one of comma, semicolon, tab, pipe\."):
        read(tmp_path / "a.csv", "text,label\na,b\n", separator=separator)


def test_option_that_does_not_apply_to_the_format_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"data.separator is given, and .* is read as jsonl: it applies to csv, tsv\."
    ):
        read(tmp_path / "a.jsonl", "{}", separator=",")
    with pytest.raises(ConfigError, match=r"data.sheet is given, and .*: it applies to xlsx\."):
        read(tmp_path / "a.csv", "text\na\n", sheet="1")


HEADERLESS = [
    ("a.tsv", "hello there\t2\tid1\nhow so\t3\tid2\n", "'2' is a number, as all of column 2"),
    ("a.csv", "i feel fine,joy\nso sad,sadness\nglad,joy\n", "'joy' occurs again in column 2"),
    ("a.csv", "0.5,a\n0.7,b\n", "'0.5' is a number, as all of column 1"),
    ("a.tsv", "hello there\tjoy\nhow so\tfear\n", "'joy' is a label, above others such as 'fear'"),
    ("a.csv", "5;so so;joy\n6;well;joy\n7;a;fear\n", "'5' is a number"),
]


@pytest.mark.parametrize(("name", "content", "why"), HEADERLESS)
def test_first_row_that_looks_like_data_is_refused_until_the_user_says_what_it_is(tmp_path, name, content, why):
    with pytest.raises(DataFormatError, match=rf"line 1: the first row .* looks like data.*{why}.*data.header false"):
        read(tmp_path / name, content)
    rows = content.count("\n")
    assert len(opened(tmp_path / name, content, header=False).read_all()) == rows
    assert len(opened(tmp_path / name, content, header=True).read_all()) == rows - 1


@pytest.mark.parametrize(
    "content",
    [
        "comment_text,0,1\nso so,1,0\nwell,0,0\n",
        "quote,joy,anger\nso so,1,\nwell,,1\n",
        "what,mood\nso so,joy\nwell,joy\n",
    ],
)
def test_header_of_names_is_no_data(tmp_path, content):
    table = opened(tmp_path / "a.csv", content)
    assert table.columns == content.split("\n")[0].split(",")
    assert (len(table.read_all()), table.notes) == (2, [])


def test_columns_of_a_file_without_header_have_the_names_given_or_numbers(tmp_path):
    content = "hello there\t2\tid1\n"
    named = read(tmp_path / "a.tsv", content, header=False, columns=("text", "label", "id"))
    assert named == {"text": ["hello there"], "label": ["2"], "id": ["id1"]}
    table = opened(tmp_path / "a.tsv", content, header=False)
    assert table.columns == ["column_1", "column_2", "column_3"]
    assert table.notes == [f"{table.name} has no header: its columns are called column_1, column_2, column_3"]
    with pytest.raises(ConfigError, match=r"data.columns has 2 names \(text, label\), and .* has 3 columns"):
        read(tmp_path / "a.tsv", content, header=False, columns=("text", "label"))


def test_doubt_about_the_header_is_said_both_ways(tmp_path):
    table = opened(tmp_path / "a.csv", "How did you feel today?,joy\nvery well,1\nnot so well,0\n")
    assert table.notes == [
        f"{table.name}: the first row is read as the header, though 'How did you feel today?' is a sentence "
        "(data.header false: data)"
    ]
    table = opened(tmp_path / "a.csv", "text,label\na,b\n", header=False)
    assert "looks like a header (text, label)" in table.notes[0]


def test_names_of_columns_in_place_of_the_header(tmp_path):
    assert read(tmp_path / "a.csv", "x,x\na,b\n", columns=("text", "label")) == {"text": ["a"], "label": ["b"]}
    with pytest.raises(
        DataFormatError, match=r"of the same name in its header: x\. Name all 2 columns with data.columns"
    ):
        read(tmp_path / "a.csv", "x,x\na,b\n")


def test_unnamed_columns_keep_their_place(tmp_path):
    assert opened(tmp_path / "a.csv", ",text\n0,a\n").columns == ["", "text"]
    assert opened(tmp_path / "a.csv", "text,label,,\na,b,,\n").columns == ["text", "label", "column_3", "column_4"]


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.tsv", 'text\tlabel\n"so\tjoy\nsaid "no"\tjoy\n', ['"so', 'said "no"']),
        ("a.tsv", 'text\tlabel\n"one\ntwo"\tjoy\n', ["one\ntwo"]),
        ("a.tsv", '"text"\t"label"\n"so"\t"joy"\n', ["so"]),
        ("a.tsv", 'text\tlabel\n"say ""no"""\tjoy\n', ['say "no"']),
        ("a.csv", 'text;label\n"so he said;joy\n"yes" or no;fear\n', ['"so he said', '"yes" or no']),
    ],
)
def test_quotes_are_read_as_the_columns_come_out_even(tmp_path, name, content, texts):
    assert read(tmp_path / name, content)["text"] == texts


def test_quotes_read_as_plain_characters_in_a_csv_are_said(tmp_path):
    table = opened(tmp_path / "a.csv", 'text;label\n"so;joy\n')
    assert f"{table.name}: quotes are read as plain characters (data.quoting none)" in table.notes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            'text,label\n"fine",joy\n"open,joy\nb,c\n',
            r"line 3: the row that begins in line 3 has a quote that is never c",
        ),
        (
            'text,label\n"fine",joy\n"a"b,c\n',
            r"line 3: the row that begins in line 3 is not quoted as CSV is \(',' exp",
        ),
    ],
)
def test_broken_quotes_are_an_error_that_names_the_option(tmp_path, content, message):
    with pytest.raises(DataFormatError, match=message + ".*Where quotes are plain characters, give data.quoting none"):
        read(tmp_path / "a.csv", content)
    assert len(read(tmp_path / "a.csv", content, quoting="none")["text"]) == content.count("\n") - 1


def test_cells_longer_than_the_limit_of_the_csv_module_are_read_and_the_limit_stays(tmp_path):
    limit = csv.field_size_limit()
    long = "so " * 100_000
    assert read(tmp_path / "a.csv", f"text,label\n{long},joy\n")["text"] == [long]
    assert csv.field_size_limit() == limit


def test_several_threads_may_read_long_cells(tmp_path):
    long = "so " * 60_000
    found = []
    (tmp_path / "a.csv").write_text("text,label\n" + f"{long},joy\n" * 20)
    work = [
        threading.Thread(target=lambda: found.append(len(open_table(tmp_path / "a.csv").read_all()))) for _ in "abc"
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert found == [20, 20, 20]


def test_line_ends_of_old_macs_and_blank_lines(tmp_path):
    assert read(tmp_path / "a.csv", "text,label\rone,joy\rtwo,fear\r")["text"] == ["one", "two"]
    assert read(tmp_path / "a.csv", "text,label\n\none,joy\n\n\n")["text"] == ["one"]


def test_texts_one_a_line(tmp_path):
    table = opened(tmp_path / "a.txt", "one, two\r\n\r\nthree\u2028four\n")
    assert table.read_all().columns == {"text": ["one, two", "", "three\u2028four"]}
    assert table.notes == [f"{table.name} is read as one text a line"]


@pytest.mark.parametrize(
    ("content", "separator"),
    [("hello\t1\nhow\t2\n", "tab"), ("i feel so;joy\n" * 5, "semicolon"), ("text,label\na,b\n", "comma")],
)
def test_txt_whose_lines_are_as_well_columns_is_refused_with_both_readings(tmp_path, content, separator):
    with pytest.raises(DataFormatError, match=rf"as one text a line .*, or as 2 columns separated by {separator}"):
        opened(tmp_path / "a.txt", content)
    assert len(opened(tmp_path / "a.txt", content, format="txt").read_all().columns["text"]) == content.count("\n")
    assert len(opened(tmp_path / "a.txt", content, separator=separator, header=True).columns) == 2


@pytest.mark.parametrize("content", ["", "\n \n", b"\xef\xbb\xbf"])
def test_file_without_content_is_an_error(tmp_path, content):
    with pytest.raises(EmptyDataError, match=r"a.csv is empty\."):
        read(tmp_path / "a.csv", content)
    with pytest.raises(EmptyDataError, match=r"has a header and no rows"):
        read(tmp_path / "b.csv", "text,label\n")


def test_line_numbers_go_past_the_sample(tmp_path):
    rows = "".join(f"so glad and so very happy today {number},joy\n" for number in range(20_000))
    with pytest.raises(DataFormatError, match=r"a.csv, line 20002: 3 fields"):
        read(tmp_path / "a.csv", f"text,label\n{rows}one, two,joy\n")


def test_a_header_that_is_no_text_is_an_error_where_bad_rows_are_left_out(tmp_path):
    with pytest.raises(DataFormatError, match=r"a.csv: the header is no text: byte 0xe9 is not UTF-8\. Give data.enc"):
        opened(tmp_path / "a.csv", b"text,caf\xe9\nfine,1\n", tolerant=True)
    assert read(tmp_path / "a.csv", b"text,caf\xe9\nfine,1\n", tolerant=True, encoding="cp1252")["café"] == ["1"]


def test_bad_rows_without_good_ones_do_not_pile_up(tmp_path, monkeypatch):
    monkeypatch.setattr(chunk, "MOST_BAD", 5)
    bad = "a,b,c\n" * 5
    table = opened(tmp_path / "a.csv", f"text,id\nfine,1\n{bad}fine,2\n", tolerant=True)
    assert [len(part.bad) for part in table.chunks()] == [5]
    table = opened(tmp_path / "a.csv", f"text,id\nfine,1\n{bad}fine,2\n{bad}", tolerant=True)
    with pytest.raises(DataFormatError, match=r"a.csv: 5 rows since line 3 cannot be read, the first as: 3 fields"):
        list(table.chunks())
    assert [len(part.bad) for part in table.chunks(1)] == [0, 5, 5]


@pytest.mark.parametrize(("name", "content"), [("a.csv", "text,id\nfine,1\nsad\n"), ("a.jsonl", '{"text": "a"}\n[]\n')])
def test_a_file_is_closed_when_a_row_cannot_be_read_and_the_error_is_kept(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataFormatError) as kept:
        list(open_table(tmp_path / name).chunks(1))
    assert kept.value is not None
    assert str(tmp_path / name) not in [file.path for file in psutil.Process().open_files()]


@pytest.mark.parametrize("content", ["text\tn\nhi\ryo\t1\n", "text\tn\r\nhi\ryo\t1\r\n"])
def test_a_carriage_return_within_a_line_gets_a_note(tmp_path, content):
    table = opened(tmp_path / "a.tsv", content)
    assert table.read_all().columns == {"text": ["hi\ryo"], "n": ["1"]}
    assert f"{tmp_path}/a.tsv: a carriage return within a line is part of its text, and ends no row" in table.notes
    assert opened(tmp_path / "b.tsv", content.replace("\r", "\n")[:7] + "hi\t1\r\n").notes == []


def test_a_carriage_return_within_a_cell_stays_beside_quoted_cells(tmp_path):
    content = 'text,label\n"so, glad",joy\nso\rsad,anger\n"in ""\rquotes",joy\r\nlast,\r\ranger\r\r\n"two\r\nlines",joy'
    table = opened(tmp_path / "a.csv", content)
    assert table.read_all().columns == {
        "text": ["so, glad", "so\rsad", 'in "\rquotes', "last", "two\r\nlines"],
        "label": ["joy", "anger", "joy", "\r\ranger", "joy"],
    }
    assert table.notes == [f"{tmp_path}/a.csv: a carriage return within a line is part of its text, and ends no row"]
    with pytest.raises(DataFormatError, match=r"a.csv, line 3: 3 fields where the header has 2"):
        read(tmp_path / "a.csv", 'text,label\n"so, glad",joy\nso sad,anger\rso so,joy\n')


def test_tabs_and_line_breaks_that_quotes_may_enclose_get_a_note(tmp_path):
    table = opened(tmp_path / "a.tsv", 'text\tn\n"a\t1\nb"\t2\n')
    assert table.read_all().columns == {"text": ['"a', 'b"'], "n": ["1", "2"]}
    note = "quotes are read as plain characters, and would fit as enclosing cells too (data.quoting csv)"
    assert table.notes == [f"{tmp_path}/a.tsv: {note}"]
    assert read(tmp_path / "a.tsv", 'text\tn\n"a\t1\nb"\t2\n', quoting="csv") == {"text": ["a\t1\nb"], "n": ["2"]}
    assert opened(tmp_path / "b.tsv", 'text\tn\n"a\t1\n"b"\t2\n').notes == []


@pytest.mark.parametrize(
    ("cell", "text", "noted"),
    [
        ('"c, d"', '"c, d"', True), ('""', '""', True), ('he said "no" so', 'he said "no" so', False),
        ('"no" he said', '"no" he said', False), ('"say ""no"""', 'say "no"', False), ('"so he', '"so he', False),
    ],
)  # fmt: skip
def test_cells_in_quotes_that_may_enclose_them_get_a_note_and_others_none(tmp_path, cell, text, noted):
    table = opened(tmp_path / "a.tsv", f"id\ttext\n1\t{cell}\n2\tx\n")
    assert table.read_all().columns["text"] == [text, "x"]
    assert any("would fit as enclosing cells too (data.quoting csv)" in note for note in table.notes) == noted
