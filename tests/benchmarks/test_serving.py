from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.peers.launch import Peer, running
from benchmarks.serving import main, parse_arguments
from shared.errors import NotReadyError
from tests.serving.bundles import stand_in_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stand-in") / "bundle"
    folder.mkdir()
    return stand_in_bundle(folder)


@pytest.mark.slow
def test_a_short_comparison_with_a_real_server_is_written(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--only", "bare int8 server", "--clients", "4", "--seconds", "0.3", "--rounds", "2", "--alone", "5"]
    assert main([*arguments, "--bundle", str(bundle), "--output", str(tmp_path / "run")]) == 0
    content = json.loads(capsys.readouterr().out.splitlines()[-1])
    rounds = content["saturation"]["bare int8 server"]
    assert len(rounds) == 2
    assert all(set(one["content"]["outcomes"]) == {"ok"} and one["memory_mib"] > 0 for one in rounds)
    assert content["alone_ms"]["bare int8 server"] > content["predictor_ms"]["median"] > 0
    assert (tmp_path / "run" / "serving.md").is_file()


def test_a_server_that_does_not_start_is_reported_with_the_end_of_its_log(bundle: Path) -> None:
    broken = Peer("broken", ("benchmarks.peers.servers", "no-such-kind"))
    with (
        pytest.raises(NotReadyError, match="server 'broken' ended with code 2: .*invalid choice: 'no-such-kind'"),
        running(broken, bundle),
    ):
        pass


def test_the_help_names_the_peers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])
    assert "adaptive batching" in capsys.readouterr().out
