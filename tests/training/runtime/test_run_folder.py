"""The run's folder: complete checkpoints, unfinished runs, and the link to the newest run."""

import json
import os
from dataclasses import replace

import pytest

from shared.errors import ConfigError
from training.config import Config, OptimConfig, RunConfig
from training.runtime.run_folder import RunFolder, check_name, read_state


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "runs" / "a")


@pytest.fixture
def config(tmp_path):
    return Config(run=RunConfig(name="a", output_dir=str(tmp_path / "runs")))


def checkpoint(folder, step, state='{"global_step": 1}'):
    path = folder.checkpoints / f"checkpoint-{step}"
    path.mkdir(parents=True)
    if state is not None:
        (path / "trainer_state.json").write_text(state)
    return path


def test_the_newest_complete_checkpoint_is_found_by_number(folder):
    checkpoint(folder, 9)
    newest = checkpoint(folder, 10)
    checkpoint(folder, 11, state='{"cut')
    checkpoint(folder, 12, state=None)
    assert folder.last_checkpoint() == newest


def test_without_a_complete_checkpoint_there_is_none(folder):
    assert folder.last_checkpoint() is None
    checkpoint(folder, 3, state="[]")
    assert folder.last_checkpoint() is None
    assert read_state(folder.checkpoints / "checkpoint-3") is None


def test_a_fresh_run_begins_with_empty_folders_and_its_configuration(folder, config):
    assert folder.prepare(config) is None
    assert list(folder.checkpoints.iterdir()) == []
    assert folder.config.is_file()


def test_an_unfinished_run_is_refused_resumed_or_overwritten(folder, config):
    folder.prepare(config)
    kept = checkpoint(folder, 5)
    with pytest.raises(ConfigError, match=r"holds an unfinished run \(newest checkpoint: checkpoint-5\)"):
        folder.prepare(config)
    assert folder.prepare(replace(config, run=replace(config.run, resume=True))) == kept
    assert folder.prepare(replace(config, run=replace(config.run, overwrite=True))) is None
    assert not kept.exists()


def test_a_finished_run_is_started_again(folder, config):
    folder.prepare(config)
    checkpoint(folder, 5)
    folder.finish()
    assert not folder.is_unfinished()
    assert folder.prepare(config) is None


def test_resuming_with_another_configuration_names_the_difference(folder, config):
    folder.prepare(config)
    checkpoint(folder, 5)
    other = replace(config, run=replace(config.run, resume=True), optim=OptimConfig(lr=1.0))
    with pytest.raises(ConfigError, match=r"optim.lr was 0.0002 and is 1.0\. Resume with: python -m training.run"):
        folder.prepare(other)


def test_a_run_that_has_begun_must_have_its_data(folder, config):
    folder.prepare(config)
    folder.note_data("a" * 64, begun=False)
    folder.note_data("a" * 64, begun=True)
    with pytest.raises(ConfigError, match=r"changed since it began: .* was aaaaaaaaaaaa and is bbbbbbbbbbbb\. Give it"):
        folder.note_data("b" * 64, begun=True)
    folder.note_data("b" * 64, begun=False)
    folder.note_data("b" * 64, begun=True)


@pytest.mark.parametrize("noted", [None, "", "aaaa"])
def test_a_run_whose_data_were_not_noted_goes_on(folder, config, noted):
    folder.prepare(config)
    if noted is not None:
        (folder.logs / "data.sha256").write_text(noted)
    folder.note_data("a" * 64, begun=True)
    with pytest.raises(ConfigError, match="changed since it began"):
        folder.note_data("b" * 64, begun=True)


def test_one_process_at_a_time_has_the_folder(folder):
    lock = folder.lock()
    with pytest.raises(
        ConfigError, match=rf"runs/a is being written by process {os.getpid()} on .*, since .*\. Wait for"
    ):
        folder.lock()
    lock.close()
    folder.lock().close()
    assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "latest", ".a", "a/b", "..", "a\\b", "a\0"])
def test_what_is_no_name_of_a_run_is_refused(name):
    with pytest.raises(ConfigError, match="allowed is a folder name without slashes"):
        check_name(name)


def test_keys_that_change_no_result_may_differ_on_resume(folder, config):
    folder.prepare(config)
    kept = checkpoint(folder, 5)
    run = replace(config.run, resume=True, threads=3, log_every_steps=1, keep_checkpoints=1)
    assert folder.prepare(replace(config, run=run)) == kept


def test_latest_points_to_the_run_that_finished_last(folder, tmp_path):
    for name in ("a", "b", "a"):
        path = tmp_path / "runs" / name
        path.mkdir(parents=True, exist_ok=True)
        RunFolder(path).finish()
        assert (tmp_path / "runs/latest").resolve() == path
        assert (tmp_path / "runs/latest").readlink().is_absolute() is False
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["a", "b", "latest"]


def test_a_folder_called_latest_is_not_replaced(folder, tmp_path):
    (tmp_path / "runs/latest").mkdir(parents=True)
    folder.path.mkdir()
    with pytest.raises(ConfigError, match="latest is a folder, not a link"):
        folder.finish()


def test_the_state_of_a_checkpoint_is_read(folder):
    assert read_state(checkpoint(folder, 1, json.dumps({"global_step": 7}))) == {"global_step": 7}
