"""What an actor adds to the tables of a user's own data set; test_on_ray.py has one on a cluster."""

import pyarrow as pa
import pytest

import emotion_classifiers as ec
from serving.bulk import ray_dataset
from serving.bulk.job import Job
from serving.bulk.ray_dataset import TableScorer, score_dataset
from serving.table_turns import TurnColumns
from shared.context import ContextFormat
from shared.errors import ConfigError, DataFormatError, InvalidInputError
from tests.serving.bundles import stand_in_bundle
from tests.serving.test_languages import LABELS, TEXT, sealed


@pytest.fixture(scope="module")
def languages(tmp_path_factory):
    return str(sealed(tmp_path_factory.mktemp("languages") / "bundle", languages={"de": 60}))


def score(bundle, columns, **options):
    return TableScorer(Job(bundle, provider="cpu", threads=1, **options))(pa.table(columns)).to_pydict()


def test_each_row_is_decided_by_its_language_and_all_by_a_given_one(languages):
    columns = {"text": [TEXT, TEXT, "", TEXT], "lang": ["deu", None, "pt", "pt-BR"]}
    found = score(languages, columns, language_column="lang")["predicted_labels"]
    shared = list(ec.load(languages, threads=1).predict([TEXT])[0].labels)
    assert found[0] == found[2] == []
    assert sorted(found[1]) == sorted(shared)
    assert sorted(found[3]) == sorted(LABELS)
    assert score(languages, columns, language="de")["predicted_labels"] == [[]] * 4
    with pytest.raises(DataFormatError, match=r"row 2: column 'lang': 'German' is no code of a language\.$"):
        score(languages, {"text": ["a", "b"], "lang": ["de", "German"]}, language_column="lang")


def test_previous_turns_in_a_column_are_read(tmp_path):
    bundle = str(stand_in_bundle(tmp_path / "bundle", labels=LABELS, context=ContextFormat(20)))
    turns = [None, ["i won"], [{"text": "i won", "speaker": "Joey"}]]
    arrow = pa.array([None, [{"text": "i won", "speaker": None}], [{"text": "i won", "speaker": "Joey"}]])
    found = score(bundle, {"text": ["really"] * 3, "before": arrow}, turns=TurnColumns("before"))
    expected = ec.load(bundle, threads=1).predict_proba(["really"] * 3, context=turns)
    for place, label in enumerate(LABELS):
        assert found[f"p_{label}"] == pytest.approx(expected[:, place].tolist(), abs=1e-5)
    assert len(set(found["p_joy"])) == 3


def test_what_does_not_fit_the_bundle_or_the_columns_is_refused(languages):
    with pytest.raises(ConfigError, match="trained without previous turns"):
        score(languages, {"text": ["a"], "before": [""]}, turns=TurnColumns("before"))
    with pytest.raises(DataFormatError, match=r"the data set has no column 'text' \(columns: body\)"):
        score(languages, {"body": ["a"]})
    with pytest.raises(DataFormatError, match=r"the data set has no column 'lang' \(columns: text\)"):
        score(languages, {"text": ["a"]}, language_column="lang")
    with pytest.raises(ConfigError, match="the data set has the column p_joy already"):
        score(languages, {"text": ["a"], "p_joy": [1.0]})


def test_options_are_checked_before_anything_runs(languages, monkeypatch):
    monkeypatch.setattr(ray_dataset, "import_ray", lambda: None)
    with pytest.raises(ConfigError, match="give either profile, language or language_column"):
        score_dataset(None, languages, language="de", language_column="lang")
    with pytest.raises(InvalidInputError, match="no code of a language"):
        score_dataset(None, languages, language="German")
