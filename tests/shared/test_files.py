import pytest

from shared import files


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


def test_checksums_are_sha256(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert files.sha256_file(tmp_path / "empty").startswith("e3b0c44298fc1c149afbf4c8996fb924")


def test_json_never_holds_nan(tmp_path):
    with pytest.raises(ValueError, match="Out of range float values"):
        files.write_json(tmp_path / "x.json", {"a": float("nan")})
    assert leftovers(tmp_path) == []
