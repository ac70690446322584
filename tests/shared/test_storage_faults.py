"""Object storage that fails at a chosen byte: tried again with a bound, then an error; nothing is half there."""

import pytest

from shared.errors import ConfigError, DataFormatError, DataNotFoundError, StorageError
from shared.storage import faults, storage_of

fsspec = pytest.importorskip("fsspec")
from tests.shared.faulty_storage import Fault, FaultyFileSystem  # noqa: E402  needs fsspec

PLACE = "faulty://bucket/a.csv"
CONTENT = bytes(range(256)) * 256
RESET = ConnectionResetError(104, "Connection reset by peer")


@pytest.fixture
def system(monkeypatch):
    fsspec.register_implementation("faulty", FaultyFileSystem, clobber=True)
    monkeypatch.setattr(faults, "WAITS_S", (0.0, 0.0, 0.0))
    FaultyFileSystem.empty()
    FaultyFileSystem(skip_instance_cache=True).pipe("/bucket/a.csv", CONTENT)
    return FaultyFileSystem


def get():
    with storage_of(PLACE).open(PLACE) as stream:
        return stream.read()


def put(content=b"new", place=PLACE):
    storage_of(place).write(place, "faulty://bucket/scratch", lambda stream: stream.write(content))


@pytest.mark.parametrize("error", [RESET, TimeoutError(), OSError(5, "i/o"), RuntimeError("of some library"), None])
def test_a_read_goes_on_from_the_byte_where_the_connection_was_lost(system, caplog, error):
    system.faults.append(Fault("a.csv", "read", error, byte=20_000, times=3))
    assert get() == CONTENT
    assert caplog.text.count("a.csv could not be read: ") == 3
    assert system.faults[0].times == 0


def test_a_read_that_is_lost_again_and_again_ends_in_one_line(system):
    system.faults.append(Fault("a.csv", "read", RESET, byte=20_000))
    message = r"^faulty://bucket/a.csv cannot be read: .* reset by peer \(ConnectionResetError\); tried 4 times\.$"
    with pytest.raises(StorageError, match=message):
        get()
    system.faults[:] = [Fault("a.csv", "read", None, byte=20_000)]
    with pytest.raises(StorageError, match=r"cannot be read: [\d]+ of its 65536 bytes came; tried 4 times"):
        get()


def test_a_file_that_is_replaced_while_the_connection_is_lost_is_not_read_on(system):
    with storage_of(PLACE).open(PLACE) as stream:
        assert stream.read(16_384) == CONTENT[:16_384]
        system(skip_instance_cache=True).pipe("/bucket/a.csv", CONTENT[::-1])
        system.faults.append(Fault("a.csv", "read", RESET, times=1))
        with pytest.raises(
            DataFormatError, match=r"^faulty://bucket/a.csv was replaced while it was read\. Start again\.$"
        ):
            stream.read()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(), "permission denied"), (FileNotFoundError(), "it is not there"),
        (type("ParamValidationError", (Exception,), {})("no name"), r"no name \(ParamValidationError\)"),
    ],
)  # fmt: skip
def test_what_is_refused_in_mid_read_is_not_tried_again(system, caplog, error, reason):
    system.faults.append(Fault("a.csv", "read", error, byte=20_000))
    with pytest.raises(DataNotFoundError, match=rf"^faulty://bucket/a.csv cannot be read: {reason}\.$"):
        get()
    assert caplog.text == ""


@pytest.mark.parametrize(("call", "byte"), [("write", 0), ("write", 2), ("commit", 0)])
def test_a_write_is_made_anew_and_is_whole_or_not_at_all(system, call, byte):
    system.faults.append(Fault("a.csv", call, RESET, byte=byte, times=2))
    put()
    assert get() == b"new"
    system.faults[:] = [Fault("a.csv", call, RESET, byte=byte)]
    with pytest.raises(StorageError, match=r"^faulty://bucket/a.csv cannot be written: .*; tried 4 times\.$"):
        put(b"newer")
    system.faults[:] = [Fault("a.csv", call, PermissionError("Access Denied"), byte=byte)]
    with pytest.raises(StorageError, match=r"^faulty://bucket/a.csv cannot be written: permission denied\.$"):
        put(b"newer")
    system.faults.clear()
    assert get() == b"new"
    put(b"after")
    assert get() == b"after"


def test_a_fault_of_the_writer_itself_is_neither_tried_again_nor_renamed(system):
    def fill(stream):
        stream.write(b"half")
        raise TypeError("a fault of the program")

    with pytest.raises(TypeError, match="a fault of the program"):
        storage_of(PLACE).write(PLACE, "faulty://bucket/scratch", fill)
    assert get() == CONTENT


def test_no_answer_is_no_absence(system):
    store = storage_of(PLACE)
    system.faults.append(Fault("a.csv", "info", RESET, times=3))
    assert store.exists(PLACE)
    system.faults[:] = [Fault("a.csv", "info", PermissionError())]
    with pytest.raises(StorageError, match=r"a.csv cannot be looked up: permission denied"):
        store.exists(PLACE)
    system.faults[:] = [Fault("bucket", "find", RESET)]
    with pytest.raises(StorageError, match=r"faulty://bucket cannot be listed: .*tried 4 times"):
        store.find("faulty://bucket")


def test_an_absent_file_is_one(system):
    with pytest.raises(FileNotFoundError):
        storage_of(PLACE).open("faulty://bucket/gone")


def test_storage_that_cannot_be_set_up_is_an_error_of_one_line(system, monkeypatch):
    def refuse(*arguments, **options):
        raise RuntimeError("no profile\nof that name.")

    monkeypatch.setattr(fsspec, "filesystem", refuse)
    with pytest.raises(ConfigError, match=r"^faulty://else/b cannot be reached: no profile of that name\.$"):
        storage_of("faulty://else/b")


def test_a_bucket_that_is_not_there_is_told_of_and_not_made(system):
    message = r"^faulty://buckt/a.csv cannot be written: its bucket or folder is not there\.$"
    with pytest.raises(StorageError, match=message):
        put(place="faulty://buckt/a.csv")
    assert not system(skip_instance_cache=True).exists("/buckt")
    put(place="faulty://bucket/deep/er/a.csv")


def test_a_file_that_is_removed_takes_none_along_whose_name_it_fits_as_a_pattern(system):
    names = ["b1", "b[1]", "b?", "b*", "c[1]/d/e", "c1/d/e", "f", "g"]
    for name in names:
        put(place=f"faulty://bucket/{name}")
    store = storage_of(PLACE)
    for name in ("b[1]", "b?", "c[1]"):
        store.remove(f"faulty://bucket/{name}")
    store.remove_files([f"faulty://bucket/{name}" for name in ("b*", "f")])
    store.remove_files(["faulty://bucket/g"])
    store.remove_files([])
    assert [file.relative for file in store.find("faulty://bucket")] == ["a.csv", "b1", "c1/d/e"]


def test_a_name_is_taken_as_it_is_written(system):
    place = "faulty://bucket/a::b c+d#e%20\u00e9.csv"
    put(place=place)
    (found,) = storage_of(place).find(place)
    assert (found.path, found.relative) == (place, "a::b c+d#e%20\u00e9.csv")
    assert storage_of(place).open(place).read() == b"new"


def test_what_is_listed_for_a_folder_is_no_file(system):
    system.markers += ["/bucket/", "/bucket/b.csv/"]
    assert [file.relative for file in storage_of(PLACE).find("faulty://bucket")] == ["a.csv"]


def test_a_file_and_a_folder_of_one_name(system, monkeypatch):
    inner = {"/bucket/a.csv/b.csv": {"type": "file", "size": 1}}
    monkeypatch.setattr(system, "find", lambda self, path, **options: inner)  # memory cannot hold both
    store = storage_of(PLACE)
    assert [(file.relative, file.size) for file in store.find(PLACE)] == [("a.csv", len(CONTENT))]
    assert [(file.relative, file.size) for file in store.find(f"{PLACE}/")] == [("b.csv", 1)]
    assert (store.exists(PLACE), store.exists(f"{PLACE}/")) == (True, False)
