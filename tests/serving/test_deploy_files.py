"""The ready files for deployments: well-formed, in agreement with the code, checked by their tool where it is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from serving.settings import OTHER_VARIABLES, PREFIX, Settings
from serving.telemetry.metrics import Metrics
from tests.serving.servers import ROOT

FOLDER = ROOT / "examples" / "deploy"


def known_series() -> set[str]:
    """Names that `/metrics` may have: those of every metric with the suffixes of its kind."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
    return {
        metric.name + suffix for metric in Metrics().registry.collect() for suffix in suffixes.get(metric.type, ("",))
    }


@pytest.mark.parametrize("name", ["alerts.yaml", "grafana.json", "kubernetes.yaml"])
def test_every_metric_that_is_asked_for_is_there(name):
    asked = set(re.findall(r"\bemotion_[a-z_]+", (FOLDER / name).read_text(encoding="utf-8")))
    assert asked
    assert asked <= known_series()


def test_every_variable_that_is_set_is_known():
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | set(OTHER_VARIABLES)
    for file in FOLDER.iterdir():
        text = "\n".join(line.partition("#")[0] for line in file.read_text(encoding="utf-8").splitlines())
        assert set(re.findall(r"\bEMOTION_[A-Z_]+", text)) <= known, file.name


def test_kubernetes_objects_fit_each_other():
    deployment, service, budget, scaler = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8"))
    assert [found["kind"] for found in (deployment, service, budget, scaler)] == [
        "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler",
    ]  # fmt: skip
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    assert budget["spec"]["selector"]["matchLabels"] == labels
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    (container,) = pod["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    drain_s = next(float(entry["value"]) for entry in container["env"] if entry["name"] == "EMOTION_DRAIN_S")
    deadline_s = Settings.model_fields["deadline_ms"].default / 1000
    assert pod["spec"]["terminationGracePeriodSeconds"] > drain_s + deadline_s + 3
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}


def test_the_container_of_compose_may_write_to_tmp_alone():
    service = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]["emotion"]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["environment"]["BENTOML_HOME"].startswith("/tmp/")
    assert service["ports"] == ["127.0.0.1:3000:3000"]


def test_panels_of_the_board_have_places_and_queries_of_their_own():
    panels = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels) == len({panel["id"] for panel in panels})
    assert all(target["expr"] for panel in panels for target in panel["targets"])


def check(tool: str, *arguments: object) -> None:
    """Run a tool that reads a ready file; it is skipped where it is not installed."""
    program = shutil.which(tool, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip(f"{tool} is not installed")
    ended = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    lines = (ended.stdout + ended.stderr).splitlines()
    # systemd looks for the program that a unit starts, too
    problems = [line for line in lines if "/opt/emotion/venv/bin/emotion is not executable" not in line]
    assert ended.returncode == 0 or not problems, problems


@pytest.mark.parametrize(
    ("tool", "arguments", "name"),
    [
        ("promtool", ["check", "rules", "--lint=all", "--lint-fatal"], "alerts.yaml"),
        ("systemd-analyze", ["verify"], "emotion.service"),
        ("check-jsonschema", ["--builtin-schema", "vendor.compose-spec"], "compose.yaml"),
        ("kubernetes-validate", ["--strict"], "kubernetes.yaml"),
        ("caddy", ["validate", "--adapter", "caddyfile", "--config"], "Caddyfile"),
    ],
)
def test_the_tool_of_a_file_accepts_it(tool, arguments, name):
    check(tool, *arguments, FOLDER / name)


def test_promtool_reads_the_queries_of_the_board(tmp_path):
    panels = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [{"record": f"board:query_{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "board.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}), encoding="utf-8")
    check("promtool", "check", "rules", file)


def test_promtool_fires_an_alert_for_each_fault_and_none_for_a_service_that_is_well(tmp_path):
    """Series by minute: values that rise or stay, https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/."""
    faults = {
        "EmotionNoWorkers": {'emotion_workers_alive{instance="a"}': "0x90"},
        "EmotionWorkersRestart": {'emotion_worker_restarts_total{instance="a", reason="hung"}': "0+1x90"},
        "EmotionErrors": {
            'emotion_requests_total{instance="a", status="503"}': "0+2x90",
            'emotion_requests_total{instance="a", status="200"}': "0+98x90",
        },
        "EmotionOverloaded": {
            'emotion_requests_total{instance="a", status="429"}': "0+10x90",
            'emotion_requests_total{instance="a", status="200"}': "0+90x90",
        },
        "EmotionBundleRefused": {'emotion_bundle_loads_total{instance="a", outcome="refused"}': "0x80 1x10"},
        "EmotionWrongKeys": {'emotion_wrong_api_keys_total{instance="a"}': "0+120x90"},
        "EmotionLogDropped": {'emotion_log_lines_dropped_total{instance="a"}': "0+1x90"},
        "EmotionDrift": {'emotion_drift_psi{of="labels"}': "0.3x90"},
    }
    well = {
        'emotion_workers_alive{instance="a"}': "2x90",
        'emotion_worker_restarts_total{instance="a", reason="ended"}': "0x30 1x60",
        'emotion_requests_total{instance="a", status="200"}': "0+1000x90",
        'emotion_requests_total{instance="a", status="503"}': "0+1x90",
        'emotion_bundle_loads_total{instance="a", outcome="loaded"}': "0+1x90",
        'emotion_drift_psi{of="labels"}': "0.1x90",
    }
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    assert [rule["alert"] for rule in rules] == list(faults)
    tests = [{"interval": "1m", "input_series": series(well), "promql_expr_test": [firing("", 0)]}]
    for name, values in faults.items():
        tests.append({"interval": "1m", "input_series": series(values), "promql_expr_test": [firing(name, 1)]})
    content = {"rule_files": [str(FOLDER / "alerts.yaml")], "evaluation_interval": "1m", "tests": tests}
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    check("promtool", "test", "rules", file)


def series(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"series": name, "values": value} for name, value in values.items()]


def firing(name: str, count: int) -> dict[str, object]:
    """What promtool shall find after an hour and a half: the alerts that fire, all of them when no name is given."""
    chosen = f', alertname="{name}"' if name else ""
    samples = [{"labels": "{}", "value": count}] if count else []
    return {"expr": f'count(ALERTS{{alertstate="firing"{chosen}}})', "eval_time": "89m", "exp_samples": samples}
