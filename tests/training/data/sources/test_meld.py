import pytest

from shared.errors import DataFormatError, DataNotFoundError
from training.config.data import DataConfig, SourceConfig
from training.data.load import load_data
from training.data.sources.meld import read_meld

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"


def write(path, rows, header=HEADER):
    lines = [header] + [
        f'{i},"{text}",Chandler,{emotion},neutral,{i // 2},{i % 2},8,21,"00:16:16,059","00:16:21,731"'
        for i, (text, emotion) in enumerate(rows)
    ]
    path.write_bytes("\r\n".join([*lines, ""]).encode())


@pytest.fixture
def folder(tmp_path):
    write(
        tmp_path / "train_sent_emo.csv",
        [('also I was the ""point"", person', "neutral"), ("You mustn\x92t!\nNo", "surprise")],
    )
    write(tmp_path / "dev_sent_emo.csv", [("Oh my God!", "joy")])
    return tmp_path


def read(path):
    return read_meld(SourceConfig("meld", str(path)))


def test_quoting_line_ends_and_windows_quotes_are_read(folder):
    train = read(folder).splits["train"]
    assert train.texts == ['also I was the "point", person', "You mustn’t!\nNo"]
    assert train.ids == ["train:0:0", "train:0:1"]


def test_every_file_is_its_own_split(folder):
    corpus = read(folder)
    assert {name: len(split) for name, split in corpus.splits.items()} == {"train": 2, "dev": 1}
    assert corpus.missing["test"].startswith("test_sent_emo.csv is not in")


def test_twenty_one_labels_are_unknown(folder):
    splits = load_data(DataConfig(source="meld", path=str(folder)))
    assert splits.train.known.sum(axis=1).tolist() == [7, 7]
    assert splits.labels.names_of(splits.dev.targets > 0) == [["joy"]]


def test_unknown_emotion_is_named(folder):
    write(folder / "dev_sent_emo.csv", [("Oh", "happy")])
    with pytest.raises(
        DataFormatError, match=r"dev_sent_emo.csv, line 2: unknown emotion 'happy'. Allowed: neutral, joy"
    ):
        read(folder)


def test_other_columns_are_refused(folder):
    write(folder / "dev_sent_emo.csv", [], header="text,label")
    with pytest.raises(
        DataFormatError, match="lacks the columns Utterance, Emotion, Dialogue_ID, Utterance_ID; it has text, label"
    ):
        read(folder)


def test_row_that_is_cut_off_is_named(folder):
    (folder / "dev_sent_emo.csv").write_text(HEADER + "\n1,Oh,Ross\n")
    with pytest.raises(DataFormatError, match="line 2: the number of fields is not that of the header"):
        read(folder)


def test_missing_files_say_how_to_get_them(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"no MELD in .*: looked for train_sent_emo.csv, .* Get the three"):
        read(tmp_path)
    with pytest.raises(DataNotFoundError, match=r"MELD not found: looked for .*nowhere"):
        read(tmp_path / "nowhere")
    with pytest.raises(DataNotFoundError, match="data.source=meld needs data.path"):
        read_meld(SourceConfig("meld"))
