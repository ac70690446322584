import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import DataFormatError, DataNotFoundError
from training.config.data import SourceConfig
from training.data.sources.goemotions import read_goemotions
from training.data.sources.goemotions_hub import HUB_NAME


def read(path):
    return read_goemotions(SourceConfig("goemotions", str(path)))


def write(path, **columns):
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "simplified/train-00000-of-00002.parquet", text=["a", "b"], labels=[[0], [1, 27]], id=["x", "y"])
    write(tmp_path / "simplified/train-00001-of-00002.parquet", text=["c"], labels=[[2]], id=["z"])
    write(tmp_path / "simplified/validation-00000-of-00001.parquet", text=["d"], labels=[[3]], id=["w"])
    write(tmp_path / "raw/train-00000-of-00001.parquet", text=["rater"], id=["r"])
    return tmp_path


def test_layout_of_the_hub_is_read_from_a_folder(folder):
    corpus = read(folder)
    assert corpus.splits["train"].texts == ["a", "b", "c"]
    assert corpus.splits["train"].targets.nonzero()[1].tolist() == [0, 1, 27, 2]
    assert corpus.splits["dev"].ids == ["w"]
    assert "test" in corpus.missing


def test_missing_column_is_named(folder):
    write(folder / "simplified/test-00000-of-00001.parquet", text=["a"], label=[0])
    with pytest.raises(DataFormatError, match=r"test-0.* lacks the columns labels, id; it has text, label"):
        read(folder)


@pytest.mark.parametrize("labels", [[28], [-1], None])
def test_wrong_ids_are_named_by_row(folder, labels):
    write(folder / "simplified/test-00000-of-00001.parquet", text=["a", "b"], labels=[[1], labels], id=["x", "y"])
    with pytest.raises(DataFormatError, match=r"row 1: labels .* are not a list of ids in 0\.\.27"):
        read(folder)


def test_file_that_is_not_parquet_is_named(folder):
    (folder / "simplified/test-00000-of-00001.parquet").write_text("text,labels")
    with pytest.raises(DataFormatError, match=r"test-00000-of-00001.parquet is not readable as Parquet"):
        read(folder)


@pytest.mark.parametrize("path", [None, HUB_NAME])
def test_unreachable_hub_says_what_works_offline(path, monkeypatch, tmp_path):
    import huggingface_hub

    def unreachable(*_, **__):
        raise huggingface_hub.errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(DataNotFoundError, match=rf"on the hub as {HUB_NAME}, .*data.source=sample needs no download"):
        read_goemotions(SourceConfig("goemotions", path))


def test_hub_is_read_from_its_snapshot(monkeypatch, folder):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    corpus = read_goemotions(SourceConfig("goemotions"))
    assert corpus.origin == HUB_NAME
    assert len(corpus.splits["train"]) == 3
