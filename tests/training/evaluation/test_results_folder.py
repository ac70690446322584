"""Results go into a folder of the user's, in which nothing else changes."""

from __future__ import annotations

import pytest

from shared.errors import ConfigError
from training.evaluation.results_folder import note_older, results_folder, written_into


def write(folder, **contents):
    with written_into(folder) as temporary:
        for name, content in contents.items():
            (temporary / f"{name}.json").write_text(content)


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("place", [".", "new/deep", "there", "link"])
def test_files_are_written_beside_what_is_there(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    folder = results_folder(place)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.txt").write_text("kept")
    write(folder, metrics="old")
    write(folder, metrics="new", more="more")
    assert contents(folder) == {"mine.txt": "kept", "metrics.json": "new", "more.json": "more"}
    assert (tmp_path / "link").is_symlink()


def test_results_that_are_not_whole_leave_the_old_ones(tmp_path):
    write(tmp_path, metrics="old", more="old")
    with pytest.raises(TypeError):
        write(tmp_path, metrics="new", more=3)
    assert contents(tmp_path) == {"metrics.json": "old", "more.json": "old"}


def test_a_file_or_a_bundle_is_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "metrics.json").touch()
    with pytest.raises(ConfigError, match=r"metrics\.json, which is a file\. Name a folder"):
        results_folder(str(tmp_path / "metrics.json"))
    (tmp_path / "bundle.json").touch()
    with pytest.raises(ConfigError, match="which is a bundle"):
        results_folder(str(tmp_path))
    assert results_folder(None) is None


def test_a_file_of_an_earlier_call_is_named(tmp_path, capsys):
    note_older(tmp_path, "rows.csv", "--rows true")
    assert capsys.readouterr().err == ""
    (tmp_path / "rows.csv").touch()
    note_older(tmp_path, "rows.csv", "--rows true")
    assert capsys.readouterr().err.endswith("rows.csv is of an earlier call; --rows true writes it anew\n")
