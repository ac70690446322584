"""A few hundred hostile requests on a real server; and that each promise can be broken."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.attacks import schema
from benchmarks.attacks.campaign import Campaign, Plan
from benchmarks.attacks.judge import Judge
from benchmarks.attacks.log import inspect_log
from benchmarks.attacks.page import hostile_json, render_hostile
from benchmarks.attacks.schema import SchemaRun
from benchmarks.hostile import main
from shared.errors import ConfigError
from tests.serving.bundles import stand_in_bundle


@pytest.mark.slow
def test_a_real_server_stands_a_few_hundred_attacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = stand_in_bundle(tmp_path / "bundle")
    arguments = ["--requests", "250", "--schema", "12", "--warmup", "60", "--seed", "3"]
    main([*arguments, "--bundle", str(bundle), "--output", str(tmp_path / "run")])
    content = json.loads(capsys.readouterr().out.splitlines()[-1])
    # so few requests cannot tell growth of the allocator's pools from a leak: that takes a full run
    broken = [promise for promise in content["promises"] if not promise["met"] and "memory" not in promise["promise"]]
    assert broken == [], content["findings"]
    assert content["answers"]["innocent requests"]["200"] > 10
    assert content["answers"]["schemathesis, valid"]["200"] > 0
    assert len(content["memory_mib"]) == 12
    assert (tmp_path / "run" / "hostile.md").read_text().startswith("# The service under attack")
    assert json.loads((tmp_path / "run" / "hostile.json").read_text())["seconds"] > 0


def campaign(**changes: object) -> Campaign:
    judge = Judge({}, 0.1, statuses={"a kind": Counter({"200": 90, "200+422": 10})})
    found = Campaign(Plan(100), judge, SchemaRun(sent=5), inspect_log("{}\n"), (100.0, 103.0), ended=0, seconds=1.0)
    return dataclasses.replace(found, **changes)  # type: ignore[arg-type]


def test_a_campaign_without_a_finding_keeps_every_promise() -> None:
    content = hostile_json(campaign(), {})
    assert content["kept"]
    assert content["promises"][5]["measured"] == 3.0
    assert "Wrong answers" not in render_hostile(campaign(), "command", {})


@pytest.mark.parametrize(
    ("changes", "promise"),
    [
        ({"plan": Plan(101)}, "hostile requests sent"),
        ({"judge": Judge({}, 0.1, {"k": Counter({"200": 100})}, ["k: off"], wrong=1)}, "answers wrong or missing"),
        ({"judge": Judge({}, 0.1, {"k": Counter({"200+500": 100})})}, "answers with 500"),
        ({"schema": SchemaRun(findings=["no"])}, "findings of schemathesis"),
        ({"ended": 1}, "server processes that ended"),
        ({"memory_mib": (100.0, 106.0)}, "memory gained, %"),
        ({"log": inspect_log("oh zebracrossing\n")}, "log lines with an excerpt of a text"),
        ({"log": inspect_log("Traceback\n")}, "log lines with a traceback or an error"),
    ],
)
def test_each_promise_can_be_broken_and_is_named(changes: dict[str, object], promise: str) -> None:
    found = campaign(**changes)
    content = hostile_json(found, {})
    assert not content["kept"]
    assert [entry["promise"] for entry in content["promises"] if not entry["met"]] == [promise]
    assert "**no**" in render_hostile(found, "command", {})


def test_a_missing_fuzzer_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "schemathesis", None)
    with pytest.raises(ConfigError, match=r"schemathesis is not installed. Install it: pip install -e '.\[bench\]'"):
        schema.fuzz_schema("http://127.0.0.1:1", 2, 0, Judge({}, 0.1), lambda: False)


def test_strings_of_a_body_are_collected_without_the_names_of_fields() -> None:
    assert sorted(schema._strings({"text": ["a", {"b": "c"}], "n": 1, "raw": b"d"})) == ["a", "c", "d"]
