"""The checks of reading on a reader whose answers are known, and that their texts are in no corpus here."""

import json

import numpy as np
import pytest

from benchmarks.reading import __main__ as command
from benchmarks.reading.checks import TEXTS, Reader, all_outcomes, distress, emoji_pairs, negation_pairs, read
from benchmarks.reading.entries import NEUTRAL, compose
from shared.labels import GOEMOTIONS, LabelSet
from tests.serving.bundles import stand_in_bundle
from training.config.data import SourceConfig
from training.data.sources.sample import read_sample

LABELS = LabelSet(GOEMOTIONS)


def reader(labels_of):
    """A reader that gives 0.9 to the labels that `labels_of(text)` names, in their order, and 0.1 to all others."""

    def probabilities(texts):
        found = np.full((len(texts), len(GOEMOTIONS)), 0.1)
        for row, text in zip(found, texts, strict=True):
            for rank, label in enumerate(labels_of(text)):
                row[LABELS.index(label)] = 0.9 - 0.01 * rank
        return found

    return Reader(probabilities, np.full(len(GOEMOTIONS), 0.5), LABELS)


def test_a_reader_that_knows_every_answer_is_right_everywhere():
    answers = {row[2]: row[:1] for row in read("negation")} | {text: [label] for label, text in read("journal")}
    answers |= {text: ["sadness", "desire"] for (text,) in read("distress")}
    answers |= {text: ["joy" if side == "positive" else "anger"] for side, text in read("emoji")}
    outcomes = all_outcomes(reader(lambda text: answers.get(text, [])))
    assert {name: outcome.right for name, outcome in outcomes.items()} == {
        name: outcome.total for name, outcome in outcomes.items()
    }
    assert [outcome.total for outcome in outcomes.values()] == [100, 84, 84, 24, 9, 18]


def test_a_reader_that_does_not_see_the_negation_or_the_emoji_is_right_nowhere():
    label_of = {text: label for label, *pair in read("negation") for text in pair}
    blind = reader(lambda text: [label_of[text]] if text in label_of else [])
    assert negation_pairs(blind).right == 0
    assert emoji_pairs(blind).right == 0
    assert "never love" in " ".join(negation_pairs(blind).wrong)


@pytest.mark.parametrize(
    ("labels", "right"), [(["desire"], 0), (["surprise", "love"], 0), ([], 24), (["fear"], 24), (["joy", "grief"], 24)]
)
def test_distress_must_not_be_only_positive_or_ambiguous(labels, right):
    assert distress(reader(lambda _: labels)).right == right


def test_negation_pairs_cover_every_label_and_differ():
    rows = read("negation")
    assert {row[0] for row in rows} == set(GOEMOTIONS)
    assert all(len(row) == 3 and row[1] != row[2] for row in rows)


def test_no_text_of_a_check_is_in_the_embedded_corpus():
    corpus = {text.casefold() for split in read_sample(SourceConfig()).splits.values() for text in split.texts}
    for path in TEXTS.glob("*.tsv"):
        assert not corpus & {field.casefold() for row in read(path.stem) for field in row}


def test_the_command_prints_every_check_and_one_json_line(tmp_path, capsys):
    command.main([str(stand_in_bundle(tmp_path / "bundle")), "--wrong"])
    *shown, last = capsys.readouterr().out.splitlines()
    counts = json.loads(last)
    assert counts.pop("precision") == "fp32"
    for name, (right, total) in counts.items():
        assert any(line.startswith(name) and line.endswith(f"{right} of {total}") for line in shown)


def test_entries_are_held_out_sentences_with_the_labels_of_all_of_them():
    texts, truth = compose(20)
    held_out = read_sample(SourceConfig(kind="sample")).splits["test"]
    for text, labels in zip(texts, truth, strict=True):
        inside = [row for row, sentence in enumerate(held_out.texts) if sentence in text]
        assert 4 <= len(inside) <= 9
        assert labels.tolist() == held_out.targets[inside].any(axis=0).tolist()
        assert labels[NEUTRAL]
    assert compose(20)[0] == texts
