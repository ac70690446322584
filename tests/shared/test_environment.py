"""What is recorded of the place where the program runs: never somebody else's repository."""

import importlib.metadata
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

from shared import environment
from shared.environment import cache_root, cuda_device_count, package_versions, source_revision


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def revision_seen_from(folder):
    """What the copy of `shared` in `folder` says of itself, in a process of its own."""
    code = "from shared.environment import source_revision; print(source_revision())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def put_package(folder):
    shutil.copytree(
        Path(environment.__file__).parent, folder / "shared", ignore=shutil.ignore_patterns("modeling", "fast_deberta")
    )
    return folder


def test_versions_are_those_of_the_installed_packages_alone():
    assert package_versions(["numpy", "no-such-package"]) == {
        "python": platform.python_version(),
        "numpy": numpy.__version__,
    }


def test_in_a_checkout_the_revision_is_its_commit_and_marked_when_files_changed(tmp_path):
    checkout = put_package(tmp_path / "checkout")
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "first")
    commit = git(checkout, "rev-parse", "HEAD")
    assert revision_seen_from(checkout) == commit
    with (checkout / "shared" / "labels.py").open("a") as file:
        file.write("\n")
    assert revision_seen_from(checkout) == f"{commit}+"


@pytest.mark.parametrize("place", [".venv/lib/site-packages", "."])
def test_a_repository_that_only_surrounds_the_installed_package_is_not_recorded(tmp_path, place):
    users = tmp_path / "users_project"
    users.mkdir()
    git(users, "init", "-q")
    (users / "notes.txt").write_text("mine")
    git(users, "add", ".")
    git(users, "commit", "-qm", "theirs")
    commit = git(users, "rev-parse", "HEAD")
    found = revision_seen_from(put_package(users / place))
    assert commit not in found
    assert found == "None" or found == f"emotion-classifiers {importlib.metadata.version('emotion-classifiers')}"


def test_without_git_the_installed_version_is_recorded(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(environment.subprocess, "run", missing)
    monkeypatch.setattr(environment.importlib.metadata, "version", lambda name: {"emotion-classifiers": "9.8.7"}[name])
    assert source_revision() == "emotion-classifiers 9.8.7"

    def unknown(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(environment.importlib.metadata, "version", unknown)
    assert source_revision() is None


def test_the_cache_is_where_the_variable_says_or_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EMOTION_CACHE", "~/elsewhere")
    assert cache_root() == tmp_path / "elsewhere"
    monkeypatch.delenv("EMOTION_CACHE")
    assert cache_root() == tmp_path / ".cache" / "emotion-classifiers"


def test_cuda_devices_are_what_the_driver_counts(monkeypatch):
    class Driver:
        def __init__(self, error, count):
            self.error, self.count = error, count

        def cuInit(self, flags):
            return self.error

        def cuDeviceGetCount(self, target):
            target._obj.value = self.count
            return 0

    for driver, expected in ((Driver(0, 2), 2), (Driver(100, 2), 0), (Driver(0, 0), 0)):
        monkeypatch.setattr(environment.ctypes, "CDLL", lambda _, driver=driver: driver)
        assert cuda_device_count() == expected

    def no_driver(name):
        raise OSError(name)

    monkeypatch.setattr(environment.ctypes, "CDLL", no_driver)
    assert cuda_device_count() == 0
