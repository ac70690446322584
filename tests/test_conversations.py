"""A model that reads previous turns beside one that does not, on dialogues whose answers depend on them, end to end."""

from __future__ import annotations

import json

import httpx
import pytest

import emotion_classifiers as ec
from emotion_classifiers import cli
from serving import export
from shared.bundle import Bundle
from tests.serving.servers import serving
from tests.training.conversations import write_meld
from training import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # two trainings of the starter

OPTIONS = ("--data.source", "meld", "--data.labels", "[neutral, joy, sadness, anger]", "--data.max_length", "48",
           "--optim.epochs", "2", "--optim.batch_size", "16", "--run.threads", "1",
           "--eval.fairness_sentences", "0")  # fmt: skip
NEWS = {"joy": "They gave me the job, finally!", "sadness": "My grandfather, who raised me, died.",
        "anger": "He stole my wallet and laughed!"}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Both runs, of the starter, and the export of the one with context."""
    folder = tmp_path_factory.mktemp("conversations")
    data = ("--data.path", write_meld(folder / "meld", answers=1))
    for name, context in (("without", ()), ("with", ("--data.context_turns", "1"))):
        output = ("--run.output_dir", folder, "--run.name", name)
        assert run.main([str(option) for option in (*OPTIONS, *data, *context, *output)]) == 0
    export.main([str(folder / "with" / "bundle"), "--precision", "fp32", "--threads", "1"])
    return folder


def test_previous_turns_win_clearly_in_the_paired_comparison(folder, capsys):
    output = folder / "compared"
    arguments = (
        "compare", folder / "without", folder / "with", "--threads", "1",
        "--data.source", "meld", "--data.path", folder / "meld", "--data.split", "test", "--output", output,
    )  # fmt: skip
    assert cli.main([str(argument) for argument in arguments]) == 0
    shown = capsys.readouterr().out
    found = json.loads((output / "comparison.json").read_text())
    gain = found["against_first"][0]["gains"]["macro_f1"]
    without, aware = (row["metrics"]["macro_f1"] for row in found["candidates"])
    assert aware > 0.9
    assert without < 0.75  # news are told from answers, but the three kinds of answers are guessed
    assert gain["better"]
    assert gain["interval"][0] > 0.15
    assert "reads the turns before a text, which 54 of 108 rows have" in shown


def test_the_bundle_says_how_it_reads_turns_and_is_evaluated_so_without_being_told(folder):
    bundle = Bundle.read(folder / "with" / "bundle")
    assert bundle.manifest.context.to_json() == {
        "length": 22, "turns": 1, "speakers": True, "speaker_form": "{speaker}: {text}",
    }  # fmt: skip
    assert Bundle.read(folder / "without" / "bundle").manifest.context is None
    cards = [" ".join((folder / name / "bundle" / "README.md").read_text().split()) for name in ("with", "without")]
    assert "their last tokens. Before a text it was given up to 1 previous turns of its dialogue as" in cards[0]
    assert "their last tokens. Emoji are read" in cards[1]
    metrics = ec.load(bundle.path, threads=1).evaluate(
        str(folder / "meld"), split="test", **{"data.source": "meld", "data.path": str(folder / "meld")}
    )
    assert metrics.macro_f1 > 0.9
    assert any("54 of 108 rows have any" in note for note in metrics.notes)


def test_the_service_answers_by_what_was_said_before(folder):
    bundle = folder / "with" / "bundle"
    with serving(folder / "server", bundle) as server, ec.Client(server.url) as client:
        for emotion, news in NEWS.items():
            body = {"text": "Really, Mike?", "context": [{"text": news, "speaker": "Mike"}]}
            answer = httpx.post(f"{server.url}/predict", json=body, timeout=20)
            assert [each["label"] for each in answer.json()["results"][0]["labels"]] == [emotion], answer.text
        found = client.predict(
            ["No way, Mike."] * 3, context=[[{"text": news, "speaker": "Mike"}] for news in NEWS.values()]
        )
        assert [each.labels for each in found] == [(emotion,) for emotion in NEWS]
    model = ec.load(bundle, threads=1)
    course = model.conversation([{"text": NEWS["joy"], "speaker": "Mike"}, "Wow, Mike."], smoothing=0.5)
    assert [each.labels for each in course.predictions] == [("neutral",), ("joy",)]
    p = [each.probabilities["joy"] for each in course.predictions]
    assert course.timeline["joy"] == pytest.approx([p[0], (p[0] + p[1]) / 2])
