"""The ready files for deployments: well-formed, in agreement with the code, checked by their tool where it is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

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


@pytest.mark.parametrize(
    ("tool", "arguments", "name"),
    [
        ("promtool", ["check", "rules"], "alerts.yaml"),
        ("systemd-analyze", ["verify"], "emotion.service"),
        ("caddy", ["validate", "--adapter", "caddyfile", "--config"], "Caddyfile"),
    ],
)
def test_the_tool_of_a_file_accepts_it(tool, arguments, name):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    ended = subprocess.run([tool, *arguments, FOLDER / name], capture_output=True, text=True, timeout=60, check=False)
    problems = [line for line in ended.stderr.splitlines() if "is not executable" not in line]
    assert ended.returncode == 0 or not problems, ended.stderr
