"""Object storage that fails in mid-run: one line, what is done is kept, and nothing half-written is an output."""

import pytest

from serving import predict, predict_file
from serving.bulk.local import _scored
from serving.progress import Progress
from shared.errors import DataFormatError, LockedError, StorageError
from shared.storage import faults
from shared.storage.lock import Lock
from tests.serving.bulk.tables import frame, read, write
from tests.serving.bundles import stand_in_bundle

fsspec = pytest.importorskip("fsspec")
from tests.shared.faulty_storage import Fault, FaultyFileSystem  # noqa: E402  needs fsspec

RESET = ConnectionResetError(104, "Connection reset by peer")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("stand_in") / "bundle", labels=("joy", "anger", "fear"))


@pytest.fixture
def system(monkeypatch, tmp_path):
    """Two tables on storage that fails, and their outputs as they are on this machine."""
    fsspec.register_implementation("faulty", FaultyFileSystem, clobber=True)
    monkeypatch.setattr(faults, "WAITS_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(predict, "PART_ROWS", 50)
    FaultyFileSystem.empty()
    for name, seed in (("a.csv", 0), ("b.parquet", 1)):
        content = write(tmp_path / "in" / name, frame(220, seed)).read_bytes()
        FaultyFileSystem(skip_instance_cache=True).pipe(f"/bucket/in/{name}", content)
    return FaultyFileSystem


def score(bundle, inputs, output, *options):
    predict.main([str(bundle), "--input", str(inputs), "--output", str(output), "--processes", "1", *options])


def content(name):
    return FaultyFileSystem(skip_instance_cache=True).cat(f"/bucket/out/{name}")


def outputs():
    found = FaultyFileSystem(skip_instance_cache=True).find("/bucket/out")
    return [name for name in found if "/.emotion/" not in name]


def test_lost_connections_change_no_byte(bundle, system, tmp_path):
    score(bundle, tmp_path / "in", tmp_path / "out")
    system.faults += [
        Fault("a.csv", "read", RESET, byte=5_000, times=2), Fault("b.parquet", "read", TimeoutError(), times=2),
        Fault("-50-4-0", "read", RESET, times=2), Fault("-50-4-0", "write", RESET, byte=100, times=2),
        Fault("out/a.csv", "commit", RESET, times=2), Fault("done.json", "write", RESET, times=2),
    ]  # fmt: skip
    score(bundle, "faulty://bucket/in", "faulty://bucket/out")
    assert [fault.times for fault in system.faults] == [0] * 6
    for name in ("a.csv", "b.parquet"):
        assert content(name) == (tmp_path / "out" / name).read_bytes()


def test_an_input_that_is_refused_stops_no_other(bundle, system):
    system.faults += [Fault("in/a.csv", "read", PermissionError("Access Denied"), byte=5_000)]
    message = r"1 of 2 files could not be scored, 1 were: faulty://bucket/in/a.csv cannot be read: permission denied\."
    with pytest.raises(DataFormatError, match=message):
        score(bundle, "faulty://bucket/in", "faulty://bucket/out")
    assert outputs() == ["/bucket/out/b.parquet"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("in/b.parquet", "read", RESET, byte=3_000), "in/b.parquet cannot be read: .*tried 4 times"),
        (Fault("part-000002-50-5-0", "write", PermissionError()), "part-000002-50-5-0 cannot be written: permission"),
        (Fault("out/b.parquet", "write", RESET, byte=2_000), "out/b.parquet cannot be written: .*tried 4 times"),
        (Fault("out/b.parquet", "commit", OSError(28, "full")), "out/b.parquet cannot be written: .*full"),
    ],
)
def test_a_run_that_storage_ends_keeps_what_is_done(bundle, system, tmp_path, capsys, fault, message):
    score(bundle, tmp_path / "in" / "b.parquet", tmp_path / "out" / "b.parquet")
    system.faults.append(fault)
    with pytest.raises(StorageError, match=message):
        score(bundle, "faulty://bucket/in/b.parquet", "faulty://bucket/out/b.parquet")
    assert not [name for name in outputs() if name.endswith("b.parquet")]
    system.faults.clear()
    capsys.readouterr()
    score(bundle, "faulty://bucket/in/b.parquet", "faulty://bucket/out/b.parquet")
    assert content("b.parquet") == (tmp_path / "out" / "b.parquet").read_bytes()
    assert "faulty://bucket/out/b.parquet cannot be locked: let no other run write to it" in capsys.readouterr().err


def test_two_runs_at_once_have_not_one_output(bundle, tmp_path):
    source = write(tmp_path / "in.csv", frame(60))
    held = Lock.take(tmp_path / "out.csv.partial" / "lock")
    message = (
        r"out.csv is being written by another run \(process \d+ on .*, since 20.*\)\. Wait until it ends, or end it"
    )
    with pytest.raises(LockedError, match=message):
        score(bundle, source, tmp_path / "out.csv")
    held._stream.close()  # as the kernel does where the process was killed: the file stays
    score(bundle, source, tmp_path / "out.csv")
    assert len(read(tmp_path / "out.csv")) == 60
    of_standard_input = predict_file._opened(str(tmp_path / "out.csv"), Progress(0.0))
    with of_standard_input:
        with pytest.raises(LockedError, match="out.csv is being written by another run"):
            predict_file._opened(str(tmp_path / "out.csv"), Progress(0.0)).__enter__()
        with pytest.raises(LockedError, match="out.csv is being written by another run"):
            score(bundle, source, tmp_path / "out.csv", "--restart")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_what_was_read_before_a_row_that_cannot_be_is_scored():
    class Reader:
        def prepare_part(self, part):
            return part

        def score(self, part, prepared):
            return part * 10

    def parts():
        yield from (1, 2)
        raise DataFormatError("row 3")

    found = _scored(Reader(), parts())
    assert [next(found), next(found)] == [(1, 10), (2, 20)]
    with pytest.raises(DataFormatError, match="row 3"):
        next(found)
