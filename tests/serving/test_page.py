"""The page in a real browser: by keyboard, dark and light, on a phone; axe finds nothing; screenshots are kept."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shared.context import ContextFormat
from tests.serving.browser import CONTROL, ENTER, RIGHT, TAB, browsing, installed
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import ROOT, ask, serving

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not installed(), reason="no chromium and chromedriver here")]

SHOTS = Path(os.environ.get("EMOTION_SCREENSHOTS") or ROOT / "runs" / "screenshots")
ROWS = "document.querySelectorAll('#bars .row').length"
SENTENCES = "document.querySelectorAll('.sentence').length"
ENTRY = "\U0001f622 I am so sad today. My friend was nice! I am happy and grateful."


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    bundle = os.environ.get("EMOTION_PAGE_BUNDLE") or stand_in_bundle(
        tmp_path_factory.mktemp("page") / "bundle", context=ContextFormat(20, 2)
    )
    with serving(tmp_path_factory.mktemp("server"), Path(bundle)) as running:
        yield running


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("browser") / "profile") as browser:
        yield browser


@pytest.fixture
def page(server, window):
    window.size(1180, 860)
    window.scheme("light")
    window.open(server.url + "/")
    window.run("(localStorage.clear(), 1)")
    window.wait("document.querySelectorAll('.segment').length > 0")
    return window


def words(page, name: str) -> str:
    return page.run(f"document.getElementById('{name}').textContent")


def click(page, selector: str, number: int = 0) -> None:
    page.run(f"(document.querySelectorAll({selector!r})[{number}].click(), 1)")


def test_a_text_is_read_while_it_is_typed_and_nothing_comes_from_elsewhere(page, server):
    assert page.run("document.activeElement.id") == "text"
    page.type("I am so happy today")
    page.wait(f"{ROWS} >= 6")
    page.wait("document.getAnimations().length === 0")
    widths = page.run("[...document.querySelectorAll('#bars .fill')].map(f => f.getBoundingClientRect().width)")
    assert widths == sorted(widths, reverse=True)
    asked = {urlsplit(url).netloc for url in page.requests() if url.startswith(("http", "ws"))}
    assert asked == {urlsplit(server.url).netloc}
    assert page.log() == []


def test_every_sentence_shows_its_label_and_after_a_tap_its_reasons(page):
    page.fill("text", ENTRY)
    page.wait(f"{SENTENCES} === 3")
    shown = "[...document.querySelectorAll('.sentence')].map(s => s.firstChild.textContent)"
    assert page.run(shown) == ["\U0001f622 I am so sad today.", "My friend was nice!", "I am happy and grateful."]
    assert page.run("document.querySelectorAll('#timeline li').length") > 0
    click(page, ".sentence", 1)
    page.wait("!document.getElementById('reasons').hidden")
    assert page.run("document.querySelectorAll('.sentence')[1].getAttribute('aria-pressed')") == "true"
    assert "What the model reacted to" in words(page, "reasons")
    hover = "new PointerEvent('pointerenter', {pointerType: 'mouse'})"
    page.run(f"document.querySelectorAll('.sentence')[2].dispatchEvent({hover})")
    page.wait("document.querySelectorAll('.sentence')[2].getAttribute('aria-pressed') === 'true'")
    page.screenshot(SHOTS / "light.png")
    assert page.log() == []


def test_everything_works_by_keyboard(page):
    page.type("I am sad and worried. I am happy.")
    page.type(CONTROL + ENTER)
    page.wait(f"{SENTENCES} === 2")
    for _ in range(5):  # past the button and the three examples, to the first sentence
        page.type(TAB)
    assert page.run("document.activeElement.className").startswith("sentence")
    page.type(ENTER)
    page.wait("!document.getElementById('reasons').hidden")
    for _ in range(3):  # past the other sentence and the button for more bars, to the taxonomies
        page.type(TAB)
    assert page.run("document.activeElement.name") == "taxonomy"
    page.type(RIGHT)
    page.wait(f"{ROWS} <= 7 && document.getElementById('taxonomy-words').textContent.startsWith('Ekman')")
    page.type(RIGHT)
    page.wait(f"{ROWS} === 4")
    page.type(TAB)
    assert page.run("document.activeElement.id") == "policy"


@pytest.mark.skipif("EMOTION_PAGE_BUNDLE" in os.environ, reason="that bundle may read no context")
def test_what_was_said_before_is_read_with_the_text_and_kept_with_it(page, server):
    page.type("so sad")
    page.run("(document.querySelector('#before summary').focus(), 1)")
    page.type(ENTER + TAB + "i lost the dog" + ENTER + "my sister: awful news")
    assert words(page, "before-hint") == "The model reads the last 2."
    turns = ["i lost the dog", {"speaker": "my sister", "text": "awful news"}]
    (found,) = ask(server, text="so sad", context=turns, top_k=1)
    assert found != ask(server, text="so sad", top_k=1)[0]
    strongest = (
        "[...document.querySelectorAll('#bars .row')].map(r => [r.dataset.label, r.style.getPropertyValue('--p')])[0]"
    )
    page.wait(f"{strongest}?.[1] === '{found['labels'][0]['probability']}'")
    assert page.run("document.querySelector('#before summary').textContent") == "What was said before: 2 turns"
    page.type(CONTROL + ENTER)
    page.wait("document.querySelectorAll('#past .chip').length === 1")
    click(page, "#examples .chip")
    page.wait("document.querySelectorAll('#past .chip').length === 2")
    assert page.run("document.getElementById('before').open") is False
    click(page, "[data-view=history]")
    click(page, "#past .chip", 1)
    page.wait(f"{strongest}?.[1] === '{found['labels'][0]['probability']}'")
    click(page, ".sentence")
    page.wait("!document.getElementById('reasons').hidden")
    assert page.violations() == []


def test_a_policy_moves_the_thresholds_and_is_explained(page):
    page.type("I am happy")
    page.wait(f"{ROWS} > 0")
    left = "[...document.querySelectorAll('#bars .row')].map(r => r.style.getPropertyValue('--t'))"
    before = page.run(left)
    page.fill("policy", "half", "change")
    page.wait(f"{left}.every(t => t === '0.5')")
    assert before != page.run(left)
    assert "more probable than not" in words(page, "policy-words")


def test_a_long_entry_is_read_whole_and_all_labels_can_be_shown(page):
    page.fill("text", "I am happy. " * 300)
    page.wait(f"{SENTENCES} === 300")
    click(page, "#more")
    assert page.run(ROWS) == 28


def test_another_language_is_said(page):
    page.fill("text", "estoy muy feliz hoy")
    page.wait("!document.getElementById('warnings').hidden")
    assert "not measured on" in words(page, "warnings")


def test_two_texts_are_compared(page):
    click(page, "[data-view=compare]")
    page.fill("first", "I am so sad")
    page.fill("second", "I am so happy")
    click(page, "#compare-go")
    page.wait("document.querySelectorAll('#compare-bars .both').length === 8")
    page.screenshot(SHOTS / "compare.png")


def test_a_pasted_table_comes_back_with_predictions(page):
    page.load(
        "const make = URL.createObjectURL; URL.createObjectURL = blob => { window.made = blob; return make(blob); };"
    )
    click(page, "[data-view=table]")
    rows = ['1;"I am happy; very ""happy"""', "2;", "3;so sad"] + [f"{n};I am tired" for n in range(4, 40)]
    page.fill("pasted", "id;entry\r\n" + "\r\n".join(rows))
    page.wait("!document.getElementById('chosen').hidden")
    click(page, "#table-go")
    page.wait("!document.getElementById('download').hidden", 30)
    assert words(page, "table-words") == "All 39 rows are predicted; 1 could not be read and are empty."
    table = list(csv.DictReader(io.StringIO(page.run("made.text()"))))
    assert [(row["id"], row["entry"]) for row in table[:3]] == [
        ("1", 'I am happy; very "happy"'),
        ("2", ""),
        ("3", "so sad"),
    ]
    assert table[1]["predicted_labels"] == table[1]["p_joy"] == ""
    assert 0 < float(table[2]["p_joy"]) < 1
    page.screenshot(SHOTS / "table.png")


def test_a_table_can_be_stopped_and_a_ragged_one_is_refused(page):
    click(page, "[data-view=table]")
    page.fill("pasted", "id,text\n1,hello, you\n")
    assert "has 3 cells, the first row 2" in words(page, "table-words")
    page.fill("pasted", "text\n" + "I am so happy and then I was sad.\n" * 5000)
    click(page, "#table-go")
    page.wait("document.getElementById('progress').value > 0", 30)
    click(page, "#cancel")
    page.wait("document.getElementById('table-words').textContent.startsWith('Stopped after')")


def test_the_history_stays_in_the_browser_until_it_is_cleared(page):
    page.type("I am happy" + CONTROL + ENTER)
    page.wait("localStorage.length === 1")
    click(page, "[data-view=history]")
    assert "I am happy" in words(page, "past")
    click(page, "#past .chip")
    page.wait(f"{ROWS} > 0")
    click(page, "[data-view=history]")
    click(page, "#clear")
    assert page.run("localStorage.getItem('emotions.history')") == "[]"
    assert words(page, "past") == ""


def test_the_result_is_in_sight_on_a_phone_and_nothing_overflows(page):
    page.size(390, 844, mobile=True)
    click(page, ".chip")
    page.wait(f"{SENTENCES} >= 5")
    page.wait("document.getAnimations().length === 0")
    assert page.run("scrollY") == 0
    bottom = "document.querySelectorAll('#bars .row')[{}].getBoundingClientRect().bottom"
    assert page.run(bottom.format(0)) < 844
    assert page.run("document.getElementById('verdict').getBoundingClientRect().bottom") < 500
    for scheme in ("dark", "light"):
        page.scheme(scheme)
        assert page.run("document.documentElement.scrollWidth") <= 390
        page.screenshot(SHOTS / f"phone_{scheme}.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page, scheme):
    page.scheme(scheme)
    assert page.violations() == []
    page.fill("text", ENTRY)
    page.wait(f"{SENTENCES} === 3")
    click(page, ".sentence", 1)
    page.wait("!document.getElementById('reasons').hidden")
    assert page.violations() == []
    page.screenshot(SHOTS / f"{scheme}_read.png")
    click(page, "#go")
    for view in ("compare", "table", "history"):
        click(page, f"[data-view={view}]")
        assert page.violations() == []


def test_a_refused_text_is_explained(page):
    page.fill("text", "x" * 20001)
    page.wait("!document.getElementById('problem').hidden")
    assert "20001 characters; allowed: at most 20000" in words(page, "problem")
    assert page.run(ROWS) == 0


def test_a_key_is_asked_for_where_one_is_needed(tmp_path, window):
    bundle = stand_in_bundle(tmp_path / "bundle")
    with serving(tmp_path / "server", bundle, api_keys="sesame") as server:
        window.open(server.url + "/")
        window.wait("!document.getElementById('unlock').hidden")
        window.run("(document.getElementById('key').focus(), 1)")
        window.type("sesame" + ENTER)
        window.wait("document.querySelectorAll('.segment').length > 0")
        assert window.run("document.getElementById('unlock').hidden")
        assert window.run("document.getElementById('before').hidden"), "this bundle reads no turns"
