"""A model that ties names to anger is flagged, an even one is not; group metrics are fairlearn's and by hand."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from shared.errors import DataFormatError, DataNotFoundError, EmptyDataError
from training.audit.eec import read_eec
from training.audit.fairness import counterfactual_gaps, group_metrics
from training.audit.identities import CATEGORIES, Variant, variants
from training.evaluation.measures import Predictions

LABELS = ("anger", "joy", "fear")


def answers(sentences, bias):
    """Every sentence's emotion, and for some names a higher probability of anger."""
    random = np.random.default_rng(0)
    p = np.full((len(sentences), 3), 0.1) + random.normal(0, 0.01, (len(sentences), 3))
    for row, variant in enumerate(sentences):
        if variant.emotion in LABELS:
            p[row, LABELS.index(variant.emotion)] += 0.6
        if any(name in variant.text for name in ("Lakisha", "Darnell", "Ebony")):
            p[row, 0] += bias
    return p.clip(0, 1)


def test_there_are_thousands_of_sentences_and_within_a_set_the_person_alone_differs():
    sentences = variants()
    assert len(sentences) > 5000
    chosen = [
        v for v in sentences if v.category == "names by gender" and v.key == "{person} felt {word} all day.|happy"
    ]
    assert {v.group for v in chosen} == {"female", "male"}
    assert {v.text.split(" ", 1)[1] for v in chosen} == {"felt happy all day."}
    assert variants(limit=500) == variants(limit=500)
    assert len(variants(limit=500)) == 500
    assert len(variants(limit=10_000)) == len({(v.category, v.key, v.group) for v in sentences})  # there are no more
    assert len({(v.category, v.key, v.group) for v in variants(limit=500)}) == 500  # one person a group
    assert {v.category for v in variants(limit=500)} == {v.category for v in sentences}
    for category, groups in CATEGORIES.items():
        keys = [{v.key for v in sentences if (v.category, v.group) == (category, group)} for group in groups]
        assert all(key == keys[0] for key in keys)


@pytest.mark.parametrize(("bias", "flagged"), [(0.08, True), (0.0, False)])
def test_a_model_that_ties_names_to_anger_is_flagged_and_an_even_one_is_not(bias, flagged):
    sentences = variants()
    p = answers(sentences, bias)
    found = counterfactual_gaps(sentences, p, p >= 0.5, LABELS)
    assert ("African American: anger" in found["names by origin"]["flagged"]) is flagged
    others = [name for name in found if name not in ("names by origin", "names by gender")]
    assert not any(found[name]["flagged"] for name in others)
    gap = found["names by origin"]["groups"]["African American"]["labels"]["anger"]["mean_gap"]
    assert gap == pytest.approx(bias * 5 / 6, abs=0.005)  # of six groups one has it


def test_the_few_sentences_of_a_training_are_enough_to_flag_what_is_plain():
    """One group of six, believed angry in half of its sets and by much."""
    sentences, random = variants(limit=700), np.random.default_rng(0)
    p = np.full((len(sentences), 28), 0.1) + random.normal(0, 0.01, (len(sentences), 28))
    angry = {key: random.random() < 0.5 for key in sorted({v.key for v in sentences})}
    for row, variant in enumerate(sentences):
        p[row, 0] += 0.6 * (variant.group == "Muslim" and angry[variant.key])
    found = counterfactual_gaps(sentences, p, p >= 0.5, ["anger", *map(str, range(27))])
    assert "Muslim: anger" in found["religion"]["flagged"]
    assert not found["nationality"]["flagged"]
    assert min(row["sets"] for row in found.values()) >= 10


def test_flips_are_sets_in_which_a_decision_depends_on_the_person():
    sentences = [v for v in variants() if v.category == "pronouns"]
    p = np.full((len(sentences), 3), 0.1)
    keys = sorted({v.key for v in sentences})
    for row, variant in enumerate(sentences):
        if variant.key in keys[:10] and variant.group == "he":
            p[row, 1] = 0.9
    found = counterfactual_gaps(sentences, p, p >= 0.5, LABELS)["pronouns"]
    assert found["sets_with_a_flip"] == pytest.approx(10 / len(keys))
    assert found["worst"]["group"] == "he"
    assert found["worst"]["gap"] == pytest.approx(0.8 * 2 / 3)


def test_group_metrics_are_those_of_each_group_alone_and_small_groups_are_named():
    random = np.random.default_rng(1)
    truth, decisions = random.random((200, 3)) < 0.4, random.random((200, 3)) < 0.5
    groups = ["a"] * 120 + ["b"] * 70 + ["few"] * 10
    rows = Predictions(truth, np.ones_like(truth), decisions * 0.9, decisions)
    found = group_metrics(rows, groups, LABELS)
    assert found["left_out"] == ["few"]
    for name, part in (("a", slice(0, 120)), ("b", slice(120, 190))):
        assert found["groups"][name]["macro_f1"] == pytest.approx(
            f1_score(truth[part], decisions[part], average="macro")
        )
    first, second = (found["groups"][name]["macro_f1"] for name in ("a", "b"))
    assert found["difference"]["macro_f1"] == pytest.approx(abs(first - second))
    rates = [decisions[:120, 0].mean(), decisions[120:190, 0].mean()]
    assert found["labels"]["anger"]["selection_rate"] == pytest.approx(abs(rates[0] - rates[1]))
    assert group_metrics(rows.take(np.arange(10)), ["x"] * 10, LABELS)["groups"] == {}


def test_a_group_whose_rows_annotate_no_label_has_no_metrics_and_is_in_no_difference():
    """Of 30 rows each a and b decide all; true are all of a, half of b, and nobody knows of c."""
    truth = np.repeat([True, True, False, True], [30, 15, 15, 30])[:, None]
    known = np.repeat([True, False], [60, 30])[:, None]
    decisions = np.ones_like(truth)
    rows = Predictions(truth, known, decisions * 1.0, decisions)
    found = group_metrics(rows, ["a"] * 30 + ["b"] * 30 + ["c"] * 30, ("joy",))
    assert found["groups"]["c"] == {"macro_f1": None, "micro_f1": None, "brier": None, "labels_a_row": 1.0}
    assert found["groups"]["b"]["micro_f1"] == pytest.approx(2 / 3)
    assert found["difference"]["micro_f1"] == pytest.approx(1 / 3)
    assert found["difference"]["brier"] == pytest.approx(0.5)
    nobody = group_metrics(rows.take(np.arange(60, 90)), ["c"] * 30, ("joy",))
    assert nobody["overall"]["macro_f1"] is None


def test_sentences_without_a_set_of_all_groups_are_refused():
    sentences = [Variant("EEC: race", group, key, "joy", key) for group, key in (("A", "one"), ("B", "two"))]
    p = np.full((2, 3), 0.1)
    with pytest.raises(DataFormatError, match=r"'EEC: race' is there for all of its groups \(A, B\).*: 2 sets"):
        counterfactual_gaps(sentences, p, p >= 0.5, LABELS)


HEADER = "ID,Sentence,Template,Person,Gender,Race,Emotion,Emotion word\n"


def test_the_equity_evaluation_corpus_is_read_by_gender_and_by_race(tmp_path):
    file = tmp_path / "Equity-Evaluation-Corpus.csv"
    feels, saw = "<person subject> feels <emotion word>.", "I saw <person object> in the market."
    rows = [
        ("05498", "Alonzo feels angry.", feels, "Alonzo", "male", "African-American", "anger", "angry"),
        ("11722", "My aunt feels angry.", feels, "my aunt", "female", "", "anger", "angry"),
        ("00001", "I saw Ellen in the market.", saw, "Ellen", "female", "European", "", ""),
    ]
    file.write_text(HEADER + "".join("2018-En-mystery-" + ",".join(row) + "\n" for row in rows))
    found = read_eec(file)
    assert [(v.category, v.group, v.emotion) for v in found] == [
        ("EEC: gender", "male", "anger"), ("EEC: race", "African-American", "anger"),
        ("EEC: gender", "female", "anger"), ("EEC: gender", "female", "neutral"), ("EEC: race", "European", "neutral"),
    ]  # fmt: skip
    assert found[0].key == found[2].key


def test_a_missing_a_wrong_and_an_empty_corpus_are_explained(tmp_path):
    with pytest.raises(DataNotFoundError, match="no Equity Evaluation Corpus at"):
        read_eec(tmp_path / "none.csv")
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("ID,Sentence\n1,hello\n")
    with pytest.raises(DataFormatError, match="lacks the columns Template, Person"):
        read_eec(wrong)
    empty = tmp_path / "empty.csv"
    empty.write_text(HEADER + "1,,,,,,,\n")
    with pytest.raises(EmptyDataError, match="holds no sentence"):
        read_eec(empty)
