"""Which files of a folder are train, dev and test."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import DataFormatError, DataNotFoundError
from shared.tables import find_splits, open_table, split_of_name


def layout(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("text,label\na,joy\n")
    return folder


def found(folder):
    return {split: [str(p.relative_to(folder)) for p in files] for split, files in find_splits(folder).files.items()}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["test.csv", "train.csv", "valid.csv"], {"train": "train.csv", "dev": "valid.csv", "test": "test.csv"}),
        (["emotion_train.tsv", "emotion-dev.tsv"], {"train": "emotion_train.tsv", "dev": "emotion-dev.tsv"}),
        (["train/eng.csv", "dev/eng.csv", "test/eng.csv"], {"train": "train/eng.csv", "dev": "dev/eng.csv",
                                                            "test": "test/eng.csv"}),
        (["Train.CSV", "VAL.csv.gz"], {"train": "Train.CSV", "dev": "VAL.csv.gz"}),
        (["rows.jsonl"], {"all": "rows.jsonl"}),
        (["train.csv", "README.txt", "labels.txt", "dataset_info.json", ".hidden.csv"], {"train": "train.csv"}),
        (["default/train.csv", "default/test.csv", "README.md"], {"train": "default/train.csv",
                                                                  "test": "default/test.csv"}),
    ],
)  # fmt: skip
def test_split_is_told_by_the_name_of_a_file_or_its_folder(tmp_path, names, expected):
    assert found(layout(tmp_path, *names)) == {split: [name] for split, name in expected.items()}


def test_numbered_parts_are_one_table(tmp_path):
    names = [f"data/train-{number:05}-of-00002.csv" for number in range(2)]
    assert found(layout(tmp_path, *names, "data/test-00000-of-00001.csv"))["train"] == names
    parts = [f"part{number}.csv" for number in (1, 2)]
    assert found(layout(tmp_path / "other", *parts)) == {"all": parts}


def test_what_is_not_read_is_said(tmp_path):
    assert find_splits(layout(tmp_path / "a", "train.csv", "notes.csv")).notes == [
        "not read, as no split is in their names: notes.csv"
    ]
    assert find_splits(layout(tmp_path / "b", "train.csv", "old/test.csv")).notes == [
        "not read, as b holds tables itself: the folders old"
    ]


def test_single_file_whose_name_has_the_word_of_a_split_is_said_to_be_it(tmp_path):
    layout(tmp_path, "my_test_rows.csv", "test.csv", "rows.csv", "contest.csv")
    splits = find_splits(tmp_path / "my_test_rows.csv")
    assert (list(splits.files), splits.notes) == (
        ["test"],
        ["my_test_rows.csv is the test split, by a word of its name"],
    )
    assert find_splits(tmp_path / "test.csv").notes == []
    assert list(find_splits(tmp_path / "contest.csv").files) == ["all"]


@pytest.mark.parametrize(
    "names",
    [
        ["train.csv", "train.jsonl"],
        ["a.csv", "b.csv"],
        ["one/train.csv", "two/train.csv"],
        ["train/eng.csv", "train/deu.csv"],
    ],
)
def test_several_tables_for_one_split_are_refused(tmp_path, names):
    message = rf"holds several files for '\w+': {', '.join(sorted(names))}\. Give data.path one file or sub-folder"
    with pytest.raises(DataFormatError, match=message):
        find_splits(layout(tmp_path, *names))


def test_nothing_to_read_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"no table in .*: looked for files that end in \.csv, \.tsv"):
        find_splits(tmp_path)
    with pytest.raises(DataNotFoundError, match=r"no table at .*gone: looked for"):
        find_splits(tmp_path / "gone")


@pytest.mark.parametrize(
    ("name", "split"), [("Validation", "dev"), (" test ", "test"), ("training", "train"), ("x", None)]
)
def test_usual_names_of_splits(name, split):
    assert split_of_name(name) == split


def test_folder_saved_to_disk_by_datasets_is_read_with_its_label_names(tmp_path):
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["joy", "fear"])})
    rows = Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, 0]}, features=features)
    DatasetDict({"train": rows, "validation": rows.select([0])}).save_to_disk(
        tmp_path / "saved", num_shards={"train": 2, "validation": 1}
    )
    splits = find_splits(tmp_path / "saved").files
    assert {name: len(files) for name, files in splits.items()} == {"train": 2, "dev": 1}
    table = open_table(splits["train"])
    assert table.class_names == {"label": ["joy", "fear"]}
    assert dict(table.read_all().columns) == {"text": ["a", "b", "c"], "label": [0, 1, 0]}
    rows.save_to_disk(tmp_path / "alone")
    assert list(find_splits(tmp_path / "alone").files) == ["all"]


def test_folder_of_a_dataset_of_the_hub(tmp_path):
    layout(tmp_path, "README.md", ".gitattributes")
    (tmp_path / "dataset_infos.json").write_text(json.dumps({"default": {}}))
    (tmp_path / "data").mkdir()
    for name in ("train-00000-of-00001", "validation-00000-of-00001", "test-00000-of-00001"):
        pq.write_table(pa.table({"text": ["a"], "label": [1]}), tmp_path / "data" / f"{name}.parquet")
    assert list(found(tmp_path)) == ["train", "dev", "test"]


def test_parts_must_have_the_same_columns(tmp_path):
    (tmp_path / "train-0.csv").write_text("text,label\na,joy\n")
    (tmp_path / "train-1.csv").write_text("text,emotion\na,joy\n")
    with pytest.raises(
        DataFormatError, match=r"train-1.csv has the columns text, emotion, and .*train-0.csv has text, label"
    ):
        open_table(sorted(tmp_path.iterdir()))
    (tmp_path / "train-1.jsonl").write_text("{}")
    with pytest.raises(DataFormatError, match=r"are of different formats \(csv, jsonl\)"):
        open_table(sorted(tmp_path.iterdir()))
