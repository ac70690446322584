"""Files on this machine and in fsspec's memory behave alike: listed in order, written whole or not at all."""

import sys

import pytest

from shared.errors import ConfigError
from shared.storage import is_pattern, join, storage_of
from shared.storage.remote import RemoteStorage, _url_below
from shared.tables import open_table


@pytest.fixture(params=["local", "file", "memory"])
def root(request, tmp_path):
    if request.param == "memory":
        system = pytest.importorskip("fsspec").filesystem("memory")
        system.mkdir("/bucket")
        yield f"memory://bucket{tmp_path}"
        system.rm("/bucket", recursive=True)
        return
    yield str(tmp_path) if request.param == "local" else f"file://{tmp_path}"


def get(place):
    with storage_of(place).open(place) as stream:
        return stream.read()


def put(place, content=b"text\nfine\n"):
    storage_of(place).write(place, f"{place}.scratch", lambda stream: stream.write(content))
    return place


def test_files_are_found_below_a_folder_and_by_a_pattern_with_their_names_there(root):
    for name in ("b.csv", "a/x.csv", "a/deep/y.jsonl"):
        put(join(root, name))
        storage_of(root).remove(f"{join(root, name)}.scratch")
    store = storage_of(root)
    assert [file.relative for file in store.find(root)] == ["a/deep/y.jsonl", "a/x.csv", "b.csv"]
    assert [file.relative for file in store.find(join(root, "*/*.csv"))] == ["a/x.csv"]
    assert [file.relative for file in store.find(join(root, "**/*.jsonl"))] == ["a/deep/y.jsonl"]
    (single,) = store.find(join(root, "b.csv"))
    assert (single.relative, single.size) == ("b.csv", 10)
    assert get(single.path) == b"text\nfine\n"
    assert store.find(join(root, "gone")) == []
    assert store.is_folder(join(root, "a"))
    assert not store.is_folder(join(root, "b.csv"))
    assert is_pattern(join(root, "*.csv"))
    assert not is_pattern(join(root, "b.csv"))


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ("lake://node:8020/data/in", ""),  # as of hdfs: names begin at the root, without the host
        ("lake:///data/in", ""),
        ("site://host/data/in", "site://host"),  # as of https: names are whole URLs
    ],
)
def test_urls_of_found_files_keep_what_names_of_the_storage_lack(monkeypatch, place, kept):
    class Named(pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem):
        """Stores by path, and names files as `kept` says."""

        protocol = place.partition(":")[0]

        @classmethod
        def _strip_protocol(cls, path):
            return kept + "/" + path.partition("://")[2].partition("/")[2] if "://" in path else path

    names = [f"{kept}/data/in/{name}" for name in ("a.csv", "b/c.csv")]
    system = Named(skip_instance_cache=True)
    files = {name: {"name": name, "size": 10, "type": "file"} for name in names}
    monkeypatch.setattr(system, "info", lambda path: files.get(path) or {"type": "directory"})
    monkeypatch.setattr(system, "find", lambda path, detail: files if path not in files else {path: files[path]})
    monkeypatch.setattr(system, "glob", lambda path, detail: {names[1]: files[names[1]]})
    store = RemoteStorage(system)
    assert [(file.path, file.relative) for file in store.find(place)] == [
        (f"{place}/a.csv", "a.csv"), (f"{place}/b/c.csv", "b/c.csv"),
    ]  # fmt: skip
    assert [(file.path, file.relative) for file in store.find(f"{place}/*/c.csv")] == [(f"{place}/b/c.csv", "b/c.csv")]
    assert [(file.path, file.relative) for file in store.find(f"{place}/a.csv")] == [(f"{place}/a.csv", "a.csv")]


def test_urls_of_found_files_are_whole_below_the_top_and_below_a_pattern_of_buckets():
    assert _url_below("s3://bucket*".rpartition("/")[0], "bucket1/a.csv") == "s3://bucket1/a.csv"
    assert _url_below("s3://bucket/", "/a.csv") == "s3://bucket/a.csv"
    assert _url_below("hdfs:///", "/a.csv") == "hdfs:///a.csv"


def half(stream):
    stream.write(b"half")
    raise RuntimeError("power cut")


def test_a_file_that_fails_to_be_written_is_not_there_and_the_older_one_stays(root):
    store, target = storage_of(root), join(root, "out.csv")
    for expected in (False, True):
        with pytest.raises(RuntimeError, match="power cut"):
            store.write(target, f"{target}.scratch", half)
        assert store.exists(target) == expected
        put(target, b"whole")
        assert get(target) == b"whole"
    assert store.names(f"{target}.scratch") == []


def test_a_change_of_content_is_another_version(root):
    place = put(join(root, "a.csv"))
    before = storage_of(place).find(place)[0].version
    put(place, b"text\nfine\n")
    assert storage_of(place).find(place)[0].version != before


def test_removing_takes_files_and_folders_and_is_content_where_there_is_nothing(root):
    store = storage_of(root)
    put(join(root, "a/b/c.csv"))
    store.remove(join(root, "a"))
    store.remove(join(root, "a"))
    assert store.find(join(root, "a")) == []
    assert store.names(join(root, "a")) == []


def test_tables_are_read_wherever_they_are(root):
    place = put(join(root, "a.csv"), b"text,id\nfine,1\nsad,2\n")
    table = open_table([storage_of(place).source(place)])
    assert table.read_all().columns == {"text": ["fine", "sad"], "id": ["1", "2"]}


def test_storage_without_its_package_is_an_error_with_the_command_that_installs_it(monkeypatch):
    with pytest.raises(ConfigError, match=r"nothing://a cannot be reached: Protocol not known: nothing.*pip install"):
        storage_of("nothing://a")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ConfigError, match=r"memory://a cannot be reached.*Run: pip install fsspec"):
        storage_of("memory://a")


def test_a_pattern_whose_first_folder_is_a_wildcard(tmp_path):
    (tmp_path / "a.csv").write_text("text\n")
    first, *rest = tmp_path.relative_to("/").parts
    (found,) = storage_of("/").find("/".join(["", f"{first[:-1]}?", *rest, "*.csv"]))
    assert (found.path, found.relative) == (str(tmp_path / "a.csv"), "/".join([first, *rest, "a.csv"]))


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(root):
    name = put(join(root, "a[1].csv"))
    put(join(root, "a1.csv"), b"text\n")
    (found,) = storage_of(name).find(name)
    assert (found.relative, found.size) == ("a[1].csv", 10)
    assert storage_of(name).source(name).stat().st_size == 10
