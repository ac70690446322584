"""The page in a real browser: by keyboard, dark and light, on a phone's width; screenshots are kept as artefacts."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.serving.browser import CONTROL, ENTER, RIGHT, TAB, browsing, installed
from tests.serving.bundles import MAX_LENGTH, stand_in_bundle
from tests.serving.servers import ROOT, serving

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not installed(), reason="no chromium and chromedriver here")]

SHOTS = Path(os.environ.get("EMOTION_SCREENSHOTS") or ROOT / "runs" / "screenshots")
DECIDED = "[...document.querySelectorAll('.row.decided .name')].map(n => n.textContent)"
ROWS = "document.querySelectorAll('.row').length"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    bundle = os.environ.get("EMOTION_PAGE_BUNDLE") or stand_in_bundle(tmp_path_factory.mktemp("page") / "bundle")
    with serving(tmp_path_factory.mktemp("server"), Path(bundle)) as running:
        yield running


@pytest.fixture
def page(server, tmp_path):
    with browsing(tmp_path / "profile") as browser:
        browser.size(1180, 860)
        browser.scheme("light")
        browser.open(server.url + "/")
        browser.wait("document.querySelectorAll('.segment').length > 0")
        yield browser


def test_a_text_is_read_while_it_is_typed_and_nothing_comes_from_elsewhere(page, server):
    assert page.run("document.activeElement.id") == "text"
    page.type("I am so happy today")
    page.wait(f"{ROWS} === 8 || {DECIDED}.length > 8")
    page.wait("document.getAnimations().length === 0")
    widths = page.run("[...document.querySelectorAll('.fill')].map(f => f.getBoundingClientRect().width)")
    assert widths == sorted(widths, reverse=True)
    page.screenshot(SHOTS / "light.png")
    asked = {urlsplit(url).netloc for url in page.requests() if url.startswith(("http", "ws"))}
    assert asked == {urlsplit(server.url).netloc}
    assert page.log() == []


def test_everything_works_by_keyboard(page):
    page.type("I am sad and worried")
    page.type(CONTROL + ENTER)
    page.wait(f"{ROWS} > 0")
    for _ in range(5):  # past the button and the three examples, to the taxonomies
        page.type(TAB)
    assert page.run("document.activeElement.name") == "taxonomy"
    page.type(RIGHT)
    page.wait(f"{ROWS} === 7")
    page.type(RIGHT)
    page.wait(f"{ROWS} === 4")
    page.type(TAB)
    assert page.run("document.activeElement.id") == "policy"


def test_a_policy_moves_the_thresholds(page):
    page.type("I am happy")
    page.wait(f"{ROWS} > 0")
    left = "[...document.querySelectorAll('.row')].map(r => r.style.getPropertyValue('--t'))"
    before = page.run(left)
    page.fill("policy", "half", "change")
    page.wait(f"{left}.every(t => t === '0.5')")
    assert before != page.run(left)


def test_a_long_text_shows_what_was_left_out(page):
    page.fill("text", "happy day " * 900)
    page.wait("!document.getElementById('cut').hidden")
    words = page.run("document.getElementById('cut-words').textContent")
    if not os.environ.get("EMOTION_PAGE_BUNDLE"):
        assert "first 12 and its last 34 tokens" in words
        assert f"the {1802 - MAX_LENGTH} between" in words
    page.screenshot(SHOTS / "long.png")


def test_all_labels_can_be_shown(page):
    page.type("I am happy")
    page.wait(f"{ROWS} > 0")
    page.run("(document.getElementById('more').click(), 1)")
    assert page.run(ROWS) == 28


def test_dark_and_on_a_phone_nothing_overflows(page):
    page.run("(document.querySelectorAll('.chip')[1].click(), 1)")
    page.wait(f"{ROWS} > 0")
    page.scheme("dark")
    page.wait("document.getAnimations().length === 0")
    page.screenshot(SHOTS / "dark.png")
    for scheme in ("dark", "light"):
        page.scheme(scheme)
        page.size(360, 780, mobile=True)
        assert page.run("document.documentElement.scrollWidth") <= 360
        page.screenshot(SHOTS / f"phone_{scheme}.png")


def test_a_refused_text_is_explained(page):
    page.fill("text", "x" * 20001)
    page.wait("!document.getElementById('problem').hidden")
    assert "20001 characters; allowed: at most 20000" in page.run("document.getElementById('problem').textContent")
    assert page.run(ROWS) == 0


def test_a_key_is_asked_for_where_one_is_needed(tmp_path):
    bundle = stand_in_bundle(tmp_path / "bundle")
    with serving(tmp_path / "server", bundle, api_keys="sesame") as server, browsing(tmp_path / "profile") as page:
        page.open(server.url + "/")
        page.wait("!document.getElementById('unlock').hidden")
        page.run("(document.getElementById('key').focus(), 1)")
        page.type("sesame" + ENTER)
        page.wait("document.querySelectorAll('.segment').length > 0")
        assert page.run("document.getElementById('unlock').hidden")
