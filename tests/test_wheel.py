"""The commands of the README in an environment that has only the wheel, outside of the checkout."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.docs.pages import ROOT, blocks, commands
from tests.serving.servers import NO_CERTIFICATES, free_port, stop
from tests.training.rows import write_table

pytestmark = pytest.mark.slow

(COMMANDS,) = [commands(block) for block in blocks("README.md", "sh") if "emotion train" in block]
TINY = {
    "DATA__MAX_LENGTH": "16", "DATA__CACHE_DIR": "none", "OPTIM__EPOCHS": "2", "OPTIM__LR": "0.01",
    "OPTIM__BATCH_SIZE": "24", "OPTIM__PRECISION": "fp32", "RUN__THREADS": "1",
}  # fmt: skip
"""Keys that make a run take seconds."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build writes into its source
    git = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in git.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, "."],
        cwd=source, check=True, timeout=300,
    )  # fmt: skip
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_holds_the_packages_and_what_they_read(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    rooms = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert rooms == {"emotion_classifiers", "shared", "training", "serving"}
    for name in (
        "emotion_classifiers/py.typed", "shared/configs/goemotions_starter.yaml", "serving/page/index.html",
        "training/data/augment/resources/", "training/evaluation/templates/", "training/data/sample/",
    ):  # fmt: skip
        assert any(found.startswith(name) for found in names), name


@pytest.fixture(scope="module")
def installed(wheel, tiny_model, tmp_path_factory):
    """A folder, and the environment of a shell whose `emotion` is the wheel's; other packages are the test's own."""
    folder = tmp_path_factory.mktemp("installed")
    home = folder / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel],
        check=True, timeout=300, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    (site,) = (home / "lib").glob("python*/site-packages")
    own = [entry for entry in sys.path if entry.endswith("site-packages")]
    (site / "packages.pth").write_text("\n".join(own))  # a path in a .pth is no site of its own: no editable install
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EMOTION_", "PYTHON"))}
    return folder, {
        **kept, **{f"EMOTION_TRAIN_{name}": value for name, value in TINY.items()},
        "EMOTION_TRAIN_MODEL__NAME": str(tiny_model), "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(folder / "bentoml"), "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip


def test_the_readmes_commands_work_with_the_wheel_alone(installed):
    folder, environment = installed
    write_table(folder / "rows.jsonl", rows=300)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    table = "text,labels\n" + "".join(f'{row["text"]},"{"|".join(row["labels"])}"\n' for row in rows)
    for name in ("mine.csv", "test.csv"):
        (folder / name).write_text(table)
    where = shell("python -c 'import training; print(training.__file__)'", folder, environment)
    assert str(ROOT) not in where
    said = {command: shell(command, folder, environment) for command in COMMANDS if "serve" not in command}
    assert json.loads(said[COMMANDS[3]].splitlines()[-1])["precision"] == "int8"
    assert (folder / "predictions.csv").read_text().count("\n") == len(rows) + 1
    assert (folder / "runs" / "latest" / "bundle" / "bundle.json").is_file()
    assert sum("emotion:" in output for output in said.values()) >= 1  # the tag of the Bento
    (serve,) = [command for command in COMMANDS if "emotion serve" in command]
    _check_service(serve, folder, environment)


def shell(command: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _check_service(command: str, folder: Path, environment: dict[str, str]) -> None:
    port = free_port()
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [*shlex.split(command), "--port", str(port)], cwd=folder, env=environment,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        end = time.monotonic() + 120
        while True:
            assert process.poll() is None, (folder / "serve.log").read_text()
            assert time.monotonic() < end, (folder / "serve.log").read_text()
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5, verify=NO_CERTIFICATES).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        answer = httpx.post(f"http://127.0.0.1:{port}/predict", json={"text": "i feel happy"}, timeout=20)
        assert answer.status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
    finally:
        stop(process)
