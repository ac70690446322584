import pytest

from shared.errors import DataFormatError, DataNotFoundError, EmptyDataError
from shared.labels import GOEMOTIONS
from training.config.data import SourceConfig
from training.data.sources.goemotions import parse_ids, read_goemotions


def read(path, **options):
    return read_goemotions(SourceConfig("goemotions", str(path), **options))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.tsv").write_text('She said "no\t10\teea1\nit\'s "fine", [NAME]\t4,27\teea2\n')
    (tmp_path / "dev.tsv").write_bytes(b"ok\t27\teeb1\r\n")
    return tmp_path


def test_quotes_are_plain_characters(folder):
    train = read(folder).splits["train"]
    assert train.texts == ['She said "no', 'it\'s "fine", [NAME]']
    assert train.ids == ["eea1", "eea2"]


def test_ids_are_positions_in_the_28_labels(folder):
    train = read(folder).splits["train"]
    assert [[GOEMOTIONS[c] for c in row.nonzero()[0]] for row in train.targets] == [
        ["disapproval"],
        ["approval", "neutral"],
    ]


def test_carriage_return_is_no_part_of_the_id(folder):
    assert read(folder).splits["dev"].ids == ["eeb1"]


def test_missing_split_is_remembered_with_its_reason(folder):
    corpus = read(folder)
    assert set(corpus.splits) == {"train", "dev"}
    assert corpus.missing["test"] == f"test.tsv is not in {folder}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no labels\n", r"train.tsv, line 2: 1 fields separated by tabs; expected text, label ids, comment id"),
        ("text\t28\tee\n", r"train.tsv, line 2: label ids '28' are not allowed; expected numbers in 0\.\.27"),
        ("text\tjoy\tee\n", r"label ids 'joy' are not allowed"),
        ("text\t\tee\n", r"label ids '' are not allowed"),
    ],
)
def test_wrong_line_is_named(folder, line, message):
    (folder / "train.tsv").write_text("fine\t0\tee\n" + line)
    with pytest.raises(DataFormatError, match=message):
        read(folder)


def test_parse_ids_takes_spaces():
    assert parse_ids("3, 17", "here", 28) == [3, 17]


def test_empty_file_is_an_error(folder):
    (folder / "dev.tsv").write_text("")
    with pytest.raises(EmptyDataError, match=r"dev.tsv is empty"):
        read(folder)


def test_bytes_that_are_not_utf8_are_named(folder):
    (folder / "dev.tsv").write_bytes(b"caf\xe9\t1\tee\n")
    with pytest.raises(DataFormatError, match=r"dev.tsv is not UTF-8: byte 0xe9 in line 1, byte offset 3"):
        read(folder)


def test_label_file_in_the_right_order_is_fine(folder):
    (folder / "labels.txt").write_text("\n".join(GOEMOTIONS) + "\n")
    assert read(folder).labels == GOEMOTIONS


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            [GOEMOTIONS[1], GOEMOTIONS[0], *GOEMOTIONS[2:]],
            r"28 labels, and line 1 is 'amusement' where 'admiration' is expected",
        ),
        (GOEMOTIONS[:27], r"27 labels, and line 28 is '\(nothing\)' where 'neutral' is expected"),
        ([*GOEMOTIONS, "envy"], r"29 labels, and line 29 is 'envy' where '\(nothing\)' is expected"),
    ],
)
def test_label_file_that_disagrees_is_refused(folder, names, message):
    (folder / "labels.txt").write_text("\n".join(names))
    with pytest.raises(DataFormatError, match=message):
        read(folder)


def test_missing_folder_says_where_it_was_looked_for_and_how_to_get_it(tmp_path):
    with pytest.raises(
        DataNotFoundError, match=r"looked for .*nowhere. Download train.tsv, dev.tsv and test.tsv from https"
    ):
        read(tmp_path / "nowhere")


def test_folder_without_the_corpus_says_what_was_looked_for(tmp_path):
    with pytest.raises(
        DataNotFoundError, match=r"holds no GoEmotions: looked for \{train,dev,test\}.tsv, goemotions_\*.csv"
    ):
        read(tmp_path)


@pytest.mark.parametrize("options", [{"soft_labels": True}, {"temporal_split": True}])
def test_options_of_the_raw_files_need_them(folder, options):
    with pytest.raises(DataNotFoundError, match=r"need the raw files goemotions_1.csv to goemotions_3.csv; none is in"):
        read(folder, **options)
    with pytest.raises(DataNotFoundError, match=r"need the raw files .*, and data.path is not given"):
        read_goemotions(SourceConfig("goemotions", **options))
