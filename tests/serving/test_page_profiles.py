"""The page's choice of a profile in a real browser: there when a bundle has several, and what it decides."""

from __future__ import annotations

import pytest

import emotion_classifiers as ec
from emotion_classifiers.adapt import main
from tests.serving.browser import browsing, installed
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import serving

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not installed(), reason="no chromium and chromedriver here")]

LABELS = ("joy", "sadness", "anger", "neutral")
TEXT = "I am so happy today"


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("browser") / "profile") as browser:
        yield browser


def opened(window, server) -> None:
    window.open(server.url + "/")
    window.run("(localStorage.clear(), 1)")
    window.wait("document.querySelectorAll('.segment').length > 0")


def hidden(window) -> bool:
    return window.run("getComputedStyle(document.getElementById('profiles')).display === 'none'")


def test_a_profile_is_chosen_and_decides(window, tmp_path):
    parent = stand_in_bundle(tmp_path / "parent", labels=LABELS)
    with serving(tmp_path / "alone", parent) as server:
        opened(window, server)
        assert hidden(window)
    (tmp_path / "f.yaml").write_text("joy: 0.97\nsadness: 0.02\nanger: 0.02\nneutral: 0.02\n")
    child = tmp_path / "child"
    main([str(parent), "--frequencies", str(tmp_path / "f.yaml"), "--profile", "happy_notes", "--output", str(child),
          "--threads", "1"])  # fmt: skip
    model = ec.load(child, threads=1)
    joy = {profile: model.predict_proba([TEXT], profile=profile)[0][0] for profile in ("default", "happy_notes")}
    assert joy["happy_notes"] > joy["default"] + 0.1
    with serving(tmp_path / "both", child) as server:
        opened(window, server)
        assert not hidden(window)
        names = "[...document.getElementById('profile').options].map(option => option.textContent)"
        assert window.run(names) == ["default", "happy notes"]
        assert window.run("document.querySelector('label[for=profile]').textContent") == "Kind of text"
        window.fill("text", TEXT)
        value = "document.querySelector('#bars .row[data-label=joy] .value')?.textContent"
        for profile in ("happy_notes", "default"):
            window.fill("profile", profile, "change")
            percent = f"{joy[profile] * 100:.{0 if joy[profile] >= 0.1 else 1}f}%"
            window.wait(f"{value} === '{percent}'")
