"""How the demo's bundle reads journals, over HTTP: by sentence, whole, and with doubts said. Needs `make demo`."""

import httpx
import pytest

import emotion_classifiers as ec
from benchmarks.reading.entries import compare, compose
from tests.serving.servers import ROOT, serving

DEMO = ROOT / "runs" / "demo" / "bundle"

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not (DEMO / "onnx").is_dir(), reason="no runs/demo/bundle: make it with `make demo`"),
]

ENTRY = (
    "Today was strange. In the morning I got the promotion I had been waiting for, and I was so proud. At lunch my "
    "sister called: our dog died. I cried in the stairwell. In the evening friends came over with soup. I am grateful, "
    "and so tired."
)


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("server"), DEMO) as server, httpx.Client(base_url=server.url) as client:

        def predict(**body):
            answer = client.post("/predict", json=body, timeout=30)
            assert answer.status_code == 200, answer.text
            return answer.json()["results"][0]

        yield predict


def names(result) -> set[str]:
    return {score["label"] for score in result["labels"]}


def test_an_entry_has_its_emotions_where_they_are(ask):
    found = ask(text=ENTRY, segments="sentence")
    by_sentence = {ENTRY[each["start"] : each["end"]]: names(each) for each in found["segments"]}
    assert len(by_sentence) == 6
    expected = {"promotion": "pride", "dog died": "grief", "cried": "sadness", "grateful": "gratitude"}
    for word, label in expected.items():
        assert [label in labels for sentence, labels in by_sentence.items() if word in sentence] == [True]
    assert names(found) >= set(expected.values())


def test_two_thousand_words_are_read_to_the_last(ask):
    filler = "I walked to the shop and bought bread and milk for the week. "
    text = filler * 78 + "I am so proud of my sister today! " + filler * 78
    found = ask(text=text, segments="sentence")
    assert 2000 <= len(text.split()) <= 2100
    assert not found["truncated"]
    assert "pride" in names(found)
    assert "pride" not in names(ask(text=text))


def test_a_reason_for_pride_is_the_word(ask):
    (pride,) = [words for label, words in ask(text=ENTRY[19:98], explain=True)["reasons"].items() if label == "pride"]
    assert "proud" in [each["word"] for each in pride[:2]]


def test_another_language_is_warned_of(ask):
    assert "other_language" in ask(text="estoy muy feliz hoy")["warnings"]
    assert "other_language" not in ask(text=ENTRY)["warnings"]


def test_a_forgotten_birthday_has_a_label_or_the_nearest_one(ask):
    found = ask(text="Nobody remembered my birthday.")
    likely = names(found) or {found["probably"]["label"]}
    assert likely & {"sadness", "disappointment", "grief", "annoyance"}


def test_composed_entries_are_read_better_by_sentence():
    found = compare(ec.load(DEMO), *compose(160))
    assert found["by_sentence"]["macro_f1"] >= found["one_text"]["macro_f1"] + 0.15
