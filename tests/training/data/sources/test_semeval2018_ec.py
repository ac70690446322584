import pytest

from shared.errors import DataFormatError, DataNotFoundError
from shared.labels import GOEMOTIONS
from training.config.data import DataConfig, SourceConfig
from training.data.load import load_data, load_eval_split
from training.data.sources.semeval2018_ec import HEADER, LABELS, read_semeval


def write(path, rows, header=HEADER):
    lines = ["\t".join(header), *("\t".join([f"2018-En-{i}", text, *values]) for i, (text, values) in enumerate(rows))]
    path.write_text("\n".join(lines) + "\n")


def values(*names):
    return ["1" if label in names else "0" for label in LABELS]


@pytest.fixture
def folder(tmp_path):
    write(
        tmp_path / "2018-E-c-En-train.txt",
        [('"Worry is a "down payment"', values("fear", "trust")), ("nothing", values())],
    )
    write(tmp_path / "2018-E-c-En-dev.txt", [("so glad", values("joy", "love"))])
    return tmp_path


def read(path):
    return read_semeval(SourceConfig("semeval2018_ec", str(path)))


def test_quotes_are_plain_and_rows_without_labels_stay(folder):
    train = read(folder).splits["train"]
    assert train.texts == ['"Worry is a "down payment"', "nothing"]
    assert train.targets.sum(axis=1).tolist() == [2, 0]


def test_short_file_names_are_read_too(folder):
    write(folder / "E-c-En-test-gold.txt", [("so sad", values("sadness"))])
    assert read(folder).splits["test"].texts == ["so sad"]


def test_eight_labels_are_shared_three_dropped_and_twenty_unknown(folder):
    (folder / "go").mkdir()
    for name in ("train", "dev"):
        (folder / "go" / f"{name}.tsv").write_text(f"other {name}\t27\tx\n")
    sources = [SourceConfig("semeval2018_ec", str(folder)), SourceConfig("goemotions", str(folder / "go"))]
    splits = load_data(DataConfig(sources=sources))
    known = {GOEMOTIONS[column] for column in splits.train.known[0].nonzero()[0]}
    assert known == {"anger", "disgust", "fear", "joy", "love", "optimism", "sadness", "surprise"}
    assert splits.labels.names_of(splits.train.targets > 0) == [["fear"], [], ["neutral"]]
    assert any("no such label: anticipation, pessimism, trust" in note for note in splits.report.notes)


def test_alone_it_brings_its_own_eleven_labels(folder):
    splits = load_data(DataConfig(source="semeval2018_ec", path=str(folder)))
    assert splits.labels.names == LABELS
    assert splits.train.known.all()
    assert splits.labels.names_of(splits.train.targets > 0) == [["fear", "trust"], []]


def test_file_without_gold_labels_is_refused_when_the_test_split_is_asked_for(folder):
    write(folder / "2018-E-c-En-test.txt", [("?", ["NONE"] * 11)])
    config = DataConfig(source="semeval2018_ec", path=str(folder))
    labels = load_data(config).labels
    with pytest.raises(
        DataNotFoundError, match="2018-E-c-En-test.txt holds NONE for its labels; the file with labels is"
    ):
        load_eval_split(config, "test", labels)


def test_none_in_a_file_that_should_be_gold_is_explained(folder):
    write(folder / "2018-E-c-En-test-gold.txt", [("?", ["NONE"] * 11)])
    with pytest.raises(
        DataFormatError, match=r"line 2: the labels are NONE; allowed are 0 and 1 \(NONE marks a file without gold"
    ):
        read(folder)


def test_intensity_subtask_is_told_apart(folder):
    write(folder / "2018-E-c-En-dev.txt", [], header=["ID", "Tweet", "Affect Dimension", "Intensity Score"])
    with pytest.raises(DataFormatError, match=r"expected ID Tweet anger .* This is subtask E-c, not EI-reg or EI-oc"):
        read(folder)


def test_wrong_number_of_fields_is_named_by_line(folder):
    write(folder / "2018-E-c-En-dev.txt", [("a\tb", values())])
    with pytest.raises(DataFormatError, match="line 2: 14 fields separated by tabs, expected 13"):
        read(folder)


def test_missing_files_say_how_to_get_them(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"E-c-En-train.txt is not in .* Get the English E-c files"):
        read(tmp_path)
    with pytest.raises(DataNotFoundError, match=r"SemEval-2018 E-c not found: looked for .*nowhere"):
        read(tmp_path / "nowhere")
    with pytest.raises(DataNotFoundError, match="data.source=semeval2018_ec needs data.path"):
        read_semeval(SourceConfig("semeval2018_ec"))
