import contextlib
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared import cli
from shared.errors import DataNotFoundError


def test_a_users_mistake_is_one_line_and_exit_code_2(capsys):
    def main():
        raise DataNotFoundError("no folder\nhere.", hint="Make it.")

    with pytest.raises(SystemExit) as exit_:
        cli.run_command(main)
    assert exit_.value.code == cli.EXIT_USER_ERROR
    assert capsys.readouterr().err == "error: no folder here. Make it.\n"


@pytest.mark.parametrize(("kind", "hint"), [(errno.ENOSPC, "The disk is full"), (errno.EIO, "The disk failed"),
                                              (errno.EEXIST, "A file is where a folder is needed")])  # fmt: skip
def test_a_disk_that_is_full_or_fails_is_named(capsys, kind, hint):
    def main():
        raise OSError(kind, os.strerror(kind), "runs/x")

    with pytest.raises(SystemExit) as exit_:
        cli.run_command(main)
    assert exit_.value.code == cli.EXIT_USER_ERROR
    assert capsys.readouterr().err.startswith(f"error: {os.strerror(kind)} (runs/x). {hint}")


def test_ctrl_c_ends_with_130(capsys):
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as exit_:
        cli.run_command(main)
    assert exit_.value.code == 130
    assert "Traceback" not in capsys.readouterr().err


def test_our_own_bugs_keep_their_traceback():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cli.run_command(main)


@pytest.mark.parametrize(("files", "cores"), [
    ({"cpu.max": "150000 100000"}, 1.5),
    ({"cpu.max": "max 100000"}, None),
    ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2.0),
    ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    ({}, None),
])  # fmt: skip
def test_the_containers_quota_is_read_from_both_cgroup_versions(tmp_path, files, cores):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert cli._cgroup_cpus(tmp_path, tmp_path / "none") == cores


@pytest.mark.parametrize(("membership", "files", "cores"), [
    ("0::/system.slice/emotion.service\n", {"system.slice/emotion.service/cpu.max": "200000 100000"}, 2),
    ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000", "cpu.max": "800000 100000"}, 1.5),
    ("0::/a/b\n", {"a/b/cpu.max": "300000 100000", "a/cpu.max": "max 100000"}, 3),
    ("0::/../other\n", {"cpu.max": "100000 100000"}, 1),
    ("3:cpu,cpuacct:/docker/x\n1:name=systemd:/\n",
     {"cpu/docker/x/cpu.cfs_quota_us": "50000", "cpu/docker/x/cpu.cfs_period_us": "100000"}, 0.5),
    ("3:cpu,cpuacct:/docker/x\n",
     {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
])  # fmt: skip
def test_the_smallest_quota_of_nested_control_groups_counts(tmp_path, membership, files, cores):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "self").write_text(membership)
    assert cli._cgroup_cpus(tmp_path, tmp_path / "self") == cores


@pytest.fixture
def one_core_group():
    """A real control group with one core's quota around another without one; removed in the end."""
    root = Path("/sys/fs/cgroup")
    first = root / "cpu" if (root / "cpu").is_dir() else root
    quota = {"cpu.cfs_quota_us": "100000"} if first.name == "cpu" else {"cpu.max": "100000 100000"}
    outer = first / f"emotion-test-{os.getpid()}"
    try:
        (outer / "inner").mkdir(parents=True)
        for name, value in quota.items():
            (outer / name).write_text(value)
        yield outer / "inner"
    except OSError as error:
        pytest.skip(f"control groups cannot be made here: {error}")
    finally:
        for folder in (outer / "inner", outer):
            with contextlib.suppress(OSError):
                folder.rmdir()


@pytest.mark.skipif(cli.default_threads() < 2, reason="one core is all there is")
def test_a_process_in_a_nested_group_of_the_kernel_keeps_to_the_quota_around_it(one_core_group):
    code = (
        "import os, sys; open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()));"
        "from shared.cli import default_threads; print(default_threads())"
    )
    command = [sys.executable, "-c", code, str(one_core_group)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "1"), ended.stderr


def test_there_is_always_at_least_one_thread(monkeypatch):
    monkeypatch.setattr(cli, "_cgroup_cpus", lambda: 0.5)
    assert cli.default_threads() == 1


def test_a_reader_that_leaves_early_gets_no_traceback():
    writer = "from shared.cli import run_command; run_command(lambda: print('line\\n' * 100_000))"
    command = [sys.executable, "-c", writer]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == cli.EXIT_BROKEN_PIPE
