"""A headless Chromium, driven over the WebDriver protocol; no library needed."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.servers import free_port, stop

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--hide-scrollbars"]  # fmt: skip
ENTER, TAB, CONTROL, RIGHT = "\ue007", "\ue004", "\ue009", "\ue014"


def installed() -> bool:
    return bool(shutil.which("chromedriver") and (shutil.which("chromium") or shutil.which("chrome")))


class Browser:
    """One window."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self._client = client
        self._path = f"/session/{session}"

    def _post(self, path: str, **body: Any) -> Any:
        answer = self._client.post(f"{self._path}{path}", json=body).json()["value"]
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer

    def open(self, url: str) -> None:
        self._post("/url", url=url)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        return self._post("/execute/sync", script=f"return {script}", args=[])

    def wait(self, script: str, timeout_s: float = 10) -> Any:
        """Wait until a JavaScript expression is true, and return it."""
        end = time.monotonic() + timeout_s
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)
        return value

    def load(self, script: str) -> None:
        """Run a whole script in the page, whatever its security policy says."""
        self._post("/execute/sync", script=script, args=[])

    def type(self, keys: str) -> None:
        """Press keys where the focus is; a key after CONTROL is pressed with it."""
        actions: list[dict[str, str]] = []
        held = False
        for key in keys:
            actions.append({"type": "keyDown", "value": key})
            if key == CONTROL:
                held = True
                continue
            actions.append({"type": "keyUp", "value": key})
            if held:
                actions.append({"type": "keyUp", "value": CONTROL})
                held = False
        self._post("/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def fill(self, element: str, value: str, event: str = "input") -> None:
        """Give an element a value, as if somebody had pasted or chosen it."""
        script = (
            "const [id, value, event] = arguments; const found = document.getElementById(id);"
            "found.value = value; found.dispatchEvent(new Event(event));"
        )
        self._post("/execute/sync", script=script, args=[element, value, event])

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self._post("/goog/cdp/execute", cmd=command, params=parameters)

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
        )

    def scheme(self, name: str) -> None:
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def violations(self) -> list[str]:
        """What axe-core has against the page as it is now; the test is skipped where there is no axe-core."""
        axe = find_spec("axe_core_python")
        if axe is None:
            pytest.skip(
                "AXE-CORE IS NOT INSTALLED: nothing looks for what keeps people out of the page (pip install '.[dev]')"
            )
        self.wait("document.getAnimations().length === 0")
        self.load((Path(axe.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8"))
        return self.run("axe.run().then(found => found.violations.map(v => v.id + ': ' + v.nodes[0].html))")

    def log(self) -> list[str]:
        """Messages of the console, errors of the security policy included."""
        return [entry["message"] for entry in self._post("/se/log", type="browser")]

    def requests(self) -> list[str]:
        """Addresses asked for since the page was opened."""
        entries = self._post("/se/log", type="performance")
        messages = (json.loads(entry["message"])["message"] for entry in entries)
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def screenshot(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """A browser with a fresh profile; ended whatever happens."""
    port = free_port()
    process = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    options = {
        "binary": shutil.which("chromium") or shutil.which("chrome"),
        "args": [*FLAGS, f"--user-data-dir={profile}"],
    }
    wanted = {
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        try:
            end = time.monotonic() + 20
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/status").json()["value"]["ready"]:
                        break
                assert time.monotonic() < end, "chromedriver did not start"
                time.sleep(0.1)
            answer = client.post("/session", json={"capabilities": {"alwaysMatch": wanted}}).json()["value"]
            assert "sessionId" in answer, answer
            yield Browser(client, answer["sessionId"])
            client.delete(f"/session/{answer['sessionId']}")
        finally:
            stop(process)
