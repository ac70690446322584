"""A short soak on real servers; and that each promise can be broken."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.lifecycle import main
from benchmarks.soak.handover import Handover
from benchmarks.soak.page import lifecycle_json, render_lifecycle
from benchmarks.soak.swap import Swaps, tampered_copy
from benchmarks.soak.tally import Tally
from shared.bundle import Bundle
from shared.errors import BundleTamperedError, ConfigError
from tests.serving.bundles import stand_in_bundle


@pytest.mark.slow
def test_a_handover_and_a_swap_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundles = [str(stand_in_bundle(tmp_path / name, seed=seed)) for name, seed in (("one", 0), ("two", 1))]
    arguments = ["--bundle", bundles[0], "--other", bundles[1], "--requests", "150", "--times", "1"]
    code = main([*arguments, "--output", str(tmp_path / "run")])
    content = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0, [promise for promise in content["promises"] if not promise["met"]]
    assert content["handover"]["codes"] == [0]
    assert set(content["swaps"]["statuses"]) == {"200", "400", "422"}
    assert content["swaps"]["scrapes"] > 0
    assert (tmp_path / "run" / "lifecycle.md").read_text().startswith("# The service in the hands of its operator")
    assert json.loads((tmp_path / "run" / "lifecycle.json").read_text())["kept"]


def test_one_bundle_cannot_be_swapped_with_itself(tmp_path: Path) -> None:
    bundle = str(stand_in_bundle(tmp_path / "one"))
    with pytest.raises(ConfigError, match="are the same bundle. Name two different ones"):
        main(["--bundle", bundle, "--other", bundle])


def test_a_tampered_copy_is_one_that_is_refused(tmp_path: Path) -> None:
    bundle = stand_in_bundle(tmp_path / "one")
    with pytest.raises(BundleTamperedError, match=r"thresholds\.json"):
        Bundle.read(tampered_copy(bundle, tmp_path / "bad"))
    Bundle.read(bundle)


def tally(**changes: object) -> Tally:
    found = Tally(10, Counter({200: 9, 422: 1}), seals=Counter({"a": 5, "b": 4}))
    return dataclasses.replace(found, **changes)  # type: ignore[arg-type]


def swaps(**changes: object) -> Swaps:
    found = Swaps(tally(), ("a", "b"), taken=2, refused=True, counted=Counter({200: 9, 422: 1}), scrapes=3, off=[])
    return dataclasses.replace(found, **changes)  # type: ignore[arg-type]


def test_a_soak_without_a_finding_keeps_every_promise() -> None:
    handover = Handover(tally(unexpected=Counter({503: 3})), [0, 0], [1.2, 1.3])
    assert lifecycle_json(10, handover, swaps(), {})["kept"]
    page = render_lifecycle(10, handover, swaps(), "command", {})
    assert "they took 1.20, 1.30 s" in page
    assert "## Lost" not in page


@pytest.mark.parametrize(
    ("handover", "found", "promise"),
    [
        (Handover(tally(statuses=Counter({200: 9}))), swaps(), "requests"),
        (Handover(tally(lost=["reset"])), swaps(), "requests lost"),
        (Handover(tally(unexpected=Counter({504: 1}))), swaps(), "answers other than 200, or 503"),
        (Handover(tally(), stuck=["where"]), swaps(), "servers that did not end by themselves"),
        (Handover(tally(), [0, -9]), swaps(), "servers that ended with another code than 0"),
        (Handover(tally()), swaps(tally=tally(lost=["reset"])), "requests lost"),
        (Handover(tally()), swaps(tally=tally(unexpected=Counter({503: 1}))), "answers other than the right one"),
        (Handover(tally()), swaps(seals=("a", "c")), "answers of neither bundle"),
        (Handover(tally()), swaps(tally=tally(seals=Counter({"a": 9}))), "bundles that answered"),
        (Handover(tally()), swaps(refused=False), "tampered bundles refused"),
        (Handover(tally()), swaps(off=["9 counted"]), "scrapes of `/metrics` that cannot be true"),
        (Handover(tally()), swaps(counted=Counter({200: 8, 422: 2})), "answers `/metrics` counts otherwise than"),
    ],
)
def test_each_promise_can_be_broken_and_is_named(handover: Handover, found: Swaps, promise: str) -> None:
    content = lifecycle_json(10, handover, found, {})
    assert not content["kept"]
    broken = [entry["promise"] for entry in content["promises"] if not entry["met"]]
    assert len(broken) == 1
    assert broken[0].startswith(promise)
