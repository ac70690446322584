import hashlib
import os
import time
from pathlib import Path

import pytest

from shared import files
from shared.files import sha256_file


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_only_when_the_block_ends_well(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail():
        with files.replacing_file(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert leftovers(tmp_path) == ["a.txt"]
    with files.replacing_file(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert leftovers(tmp_path) == ["a.txt"]


def test_a_folder_is_replaced_only_when_the_block_ends_well(tmp_path):
    target = tmp_path / "bundle"

    def write(content, fail=False):
        with files.replacing_folder(target) as temporary:
            (temporary / "file").write_text(content)
            assert temporary.parent == tmp_path
            if fail:
                raise RuntimeError

    write("one")
    with pytest.raises(RuntimeError):
        write("two", fail=True)
    assert (target / "file").read_text() == "one"
    write("three")
    assert (target / "file").read_text() == "three"
    assert leftovers(tmp_path) == ["bundle"]


@pytest.mark.parametrize(
    ("number", "when", "error", "left"),
    [
        (1, "before", OSError, "old"),
        (2, "before", OSError, "old"),
        (1, "after", KeyboardInterrupt, "old"),
        (2, "after", KeyboardInterrupt, "new"),
    ],
)
def test_a_folder_whose_replacement_breaks_off_is_the_old_or_the_new(tmp_path, monkeypatch, number, when, error, left):
    target, rename, renamed = tmp_path / "bundle", Path.rename, []
    target.mkdir()
    (target / "file").write_text("old")

    def broken(path, new):
        renamed.append(path)
        if len(renamed) != number or when == "after":
            rename(path, new)
        if len(renamed) == number:
            raise error

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(error), files.replacing_folder(target) as temporary:
        (temporary / "file").write_text("new")
    assert (target / "file").read_text() == left
    assert leftovers(tmp_path) == ["bundle"]


def test_checksums_are_sha256(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert files.sha256_file(tmp_path / "empty").startswith("e3b0c44298fc1c149afbf4c8996fb924")


def test_json_never_holds_nan(tmp_path):
    with pytest.raises(ValueError, match="Out of range float values"):
        files.write_json(tmp_path / "x.json", {"a": float("nan")})
    assert leftovers(tmp_path) == []


def settled(path, content: bytes):
    """A file whose last change lies a moment back."""
    path.write_bytes(content)
    time.sleep(0.15)
    return path


def count_reads(monkeypatch) -> list[int]:
    reads = []
    digest = hashlib.file_digest

    def counting(stream, name):
        reads.append(1)
        return digest(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", counting)
    return reads


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    path, reads = settled(tmp_path / "file", b"one"), count_reads(monkeypatch)
    for _ in range(3):
        assert sha256_file(path) == hashlib.sha256(b"one").hexdigest()
    assert len(reads) == 1
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # the size and the time of the content as before
    assert sha256_file(path) == hashlib.sha256(b"two").hexdigest()
    assert len(reads) == 2


def test_a_file_that_has_just_changed_is_read_again(tmp_path, monkeypatch):
    path, reads = tmp_path / "file", count_reads(monkeypatch)
    path.write_bytes(b"one")
    sha256_file(path)
    sha256_file(path)
    assert len(reads) == 2


def test_another_process_may_be_told_what_is_known(tmp_path, monkeypatch):
    path = settled(tmp_path / "file", b"one")
    sha256_file(path)
    known = files.known_digests()
    monkeypatch.setattr(files, "_digests", {})
    reads = count_reads(monkeypatch)
    files.learn_digests(known)
    assert sha256_file(path) == hashlib.sha256(b"one").hexdigest()
    assert reads == []
