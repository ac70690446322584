"""What the real service refuses: a bad environment, key file or bundle ends its start in one line, or is logged."""

from __future__ import annotations

import re
import socket
import zipfile
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from shared.files import read_json, write_json
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import Server, free_port, metric, serve_and_fail, serving
from tests.serving.test_service_life import link_to, until

pytestmark = pytest.mark.slow

LONG_TEXT = "so happy today, " * 8050
"""128,800 characters: kept as an array of strings, 1,500 short texts beside it would take 770 MB."""

MOST_FOR_IT_MB = 100


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("start") / "bundle")


def refusal(folder: Path, bundle: Path, port: int | None = None, **settings: object) -> str:
    """The one line that a start ends with, exit code 2."""
    code, output = serve_and_fail(folder, bundle, port, **settings)
    lines = [line for line in output.splitlines() if line.startswith("error: ")]
    assert (code, len(lines)) == (2, 1), output
    assert "Traceback" not in output
    return lines[0]


def test_a_bundle_that_must_not_be_served_ends_the_command_with_one_line(tmp_path):
    unverified = stand_in_bundle(tmp_path / "unverified")
    (unverified / "onnx" / "verification.json").unlink()
    changed = stand_in_bundle(tmp_path / "changed")
    (changed / "thresholds.json").write_text("{}", encoding="utf-8")
    message = "is unverified: it has no onnx/verification.json. Run: python -m serving.export"
    assert message in refusal(tmp_path, unverified)
    assert "thresholds.json" in refusal(tmp_path, changed)
    assert "no bundle at" in refusal(tmp_path, tmp_path / "nothing")


def test_a_port_in_use_and_a_wrong_setting_end_the_command_with_one_line(tmp_path, bundle):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refusal(tmp_path, bundle, port)
    assert line == f"error: port {port} is in use. Choose another: bentoml serve --port {port + 1}"
    line = refusal(tmp_path, bundle, free_port(), max_texts="many")
    assert line.startswith("error: the environment does not fit the service (EMOTION_MAX_TEXTS: ")


def test_a_misspelt_variable_ends_the_command_with_one_line_without_its_value(tmp_path, bundle):
    line = refusal(tmp_path, bundle, api_key="secret")
    assert "does not know: EMOTION_API_KEY. Did you mean EMOTION_API_KEYS?" in line
    assert "secret" not in line


def test_a_key_file_that_is_not_there_or_empty_ends_the_command_and_one_emptied_later_is_logged(tmp_path, bundle):
    assert "none cannot be read" in refusal(tmp_path, bundle, api_key_file=tmp_path / "none")
    file = tmp_path / "keys"
    file.write_text("# none yet\n", encoding="utf-8")
    assert f"the API key file {file} holds no key. Write one key a line." in refusal(
        tmp_path, bundle, api_key_file=file
    )
    file.write_text("key\n", encoding="utf-8")
    with serving(tmp_path / "server", bundle, api_key_file=file) as server:
        assert status(server, "key") == 200
        file.write_text("", encoding="utf-8")
        until(lambda: status(server, "key") == 401)
        until(lambda: "holds no key any more: whoever has no other key is refused" in server.log)


def outside(bundle: Path) -> str:
    """Have the manifest name a file outside of the bundle."""
    manifest = read_json(bundle / "bundle.json")
    write_json(bundle / "bundle.json", {**manifest, "files": {**manifest["files"], "../../x": "0" * 64}})
    return "expected names of files inside the bundle"


def not_a_table(bundle: Path) -> str:
    write_json(bundle / "bundle.json", {**read_json(bundle / "bundle.json"), "files": [1]})
    return "'files' is"


def unpacking_a_thousandfold(bundle: Path) -> str:
    """Half a megabyte of archive, 600 MB of zeros, and every checksum right."""
    file = bundle / "reference.npz"
    with (
        zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("more.npy", "w", force_zip64=True) as more,
    ):
        for _ in range(600):
            more.write(bytes(2**20))
    reseal(bundle)
    return "unpacks to 600 MiB; allowed: at most 512 MiB"


def reseal(bundle: Path) -> None:
    from shared.bundle import Bundle
    from shared.files import sha256_file

    manifest = read_json(bundle / "bundle.json")
    write_json(
        bundle / "bundle.json", {**manifest, "files": {name: sha256_file(bundle / name) for name in manifest["files"]}}
    )
    seal = Bundle.read(bundle).seal
    path = bundle / "onnx" / "verification.json"
    write_json(path, {**read_json(path), "bundle_seal": seal})


def test_hostile_bundles_are_refused_at_the_start_and_when_they_are_swapped_in(tmp_path, bundle):
    link = tmp_path / "latest"
    link_to(link, bundle)
    with serving(tmp_path / "server", link, watch_s=0.2) as server:
        for number, harm in enumerate((outside, not_a_table, unpacking_a_thousandfold), start=1):
            hostile = stand_in_bundle(tmp_path / harm.__name__, seed=number)
            message = harm(hostile)
            assert message in refusal(tmp_path, hostile)
            link_to(link, hostile)
            until(
                lambda count=number: metric(server.url, "emotion_bundle_loads_total", {"outcome": "refused"}) == count
            )
            assert message in server.log
            assert status(server) == 200
        assert "Traceback" not in server.log


def test_one_long_text_among_the_reference_rows_costs_the_start_its_own_length(tmp_path):
    peaks = []
    for name, texts in (("short", ["i am happy"] * 1500), ("long", [*["i am happy"] * 1500, LONG_TEXT])):
        bundle = stand_in_bundle(tmp_path / name, texts=texts)
        with serving(tmp_path / f"{name} server", bundle, workers=1) as server:
            peaks.append(peak_mb(server))
    assert np.subtract(*peaks[::-1]).max() < MOST_FOR_IT_MB


def status(server: Server, key: str = "") -> int:
    return httpx.post(
        f"{server.url}/predict", json={"text": "i am happy"}, headers={"X-API-Key": key}, timeout=10
    ).status_code


def peak_mb(server: Server) -> list[float]:
    """Most memory that each process of a server ever had, the supervisor's first."""
    own = psutil.Process(server.process.pid)
    found = []
    for process in (own, *own.children(recursive=True)):
        lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        found.append(int(re.search(r"VmHWM:\s+(\d+) kB", lines).group(1)) / 1024)
    return found
