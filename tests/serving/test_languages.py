"""A bundle with thresholds of single languages: chosen by `language` over HTTP, in Python and on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import numpy as np
import pytest

import emotion_classifiers as ec
from serving import predict
from serving.http.schemas import PredictRequest
from serving.text_checks import TextChecks
from shared.bundle import Bundle, seal
from shared.errors import ConfigError, DataFormatError, InvalidInputError
from shared.files import read_json, write_json
from shared.profiles import Profile
from shared.thresholds import Policies
from tests.serving.bundles import MAX_LENGTH, stand_in_bundle
from tests.serving.servers import serving

LABELS = ("joy", "sadness", "anger")
TEXT = "i feel happy today"
THRESHOLDS = {"de": 1.0, "pt-br": 0.0}
"""German decides nothing, Brazilian Portuguese everything; the shared thresholds lie between."""


def sealed(folder: Path, *, languages: dict[str, int], texts: tuple[str, ...] = (TEXT,)) -> Path:
    """The stand-in bundle with a profile for each of `THRESHOLDS`, and recorded languages."""
    bundle = Bundle.read(stand_in_bundle(folder, labels=LABELS, texts=texts))
    for code, threshold in THRESHOLDS.items():
        policies = Policies(LABELS, {**bundle.policies.values, "f1": np.full(3, threshold)}, "dev")
        about = {"language": code, "fitted_on": "dev", "rows": 60, "policies": ["f1"]}
        Profile(bundle.calibration, policies, about).write(folder / "profiles" / code)
    again = seal(
        folder, labels=LABELS, task="multi_label", pooling="mean", max_length=MAX_LENGTH, head_tokens=12,
        provenance={"data": {"languages": {"dev": languages}}},
    )  # fmt: skip
    verification = bundle.onnx_dir / "verification.json"
    write_json(verification, {**read_json(verification), "bundle_seal": again.seal})
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return sealed(tmp_path_factory.mktemp("languages") / "bundle", languages={"de": 60, "pt-br": 60, "vmw": 3})


def test_a_language_decides_by_its_own_thresholds_and_another_by_the_shared_ones(bundle):
    model = ec.load(bundle, threads=1)
    (shared,) = model.predict([TEXT])
    decided = {
        code: model.predict([TEXT], language=code)[0].labels for code in ("de", "deu", "DE-at", "pt_BR", "pt", "fi")
    }
    assert decided["de"] == decided["deu"] == decided["DE-at"] == ()
    assert sorted(decided["pt_BR"]) == sorted(LABELS)
    assert decided["pt"] == decided["fi"] == shared.labels
    np.testing.assert_allclose(
        model.predict_proba([TEXT], profile="de"), model.predict_proba([TEXT]), atol=1e-6
    )  # fmt: skip


def test_a_language_and_a_profile_at_once_or_no_code_are_refused(bundle):
    model = ec.load(bundle, threads=1)
    with pytest.raises(InvalidInputError, match="give either `profile` or `language`"):
        model.predict([TEXT], profile="de", language="de")
    with pytest.raises(InvalidInputError, match="no code of a language; write it as en"):
        model.predict([TEXT], language="German")
    with pytest.raises(ConfigError, match="give either --profile or --language"):
        predict.main([str(bundle), "--text", TEXT, "--profile", "de", "--language", "de"])
    assert PredictRequest(text="a", language=" ENG ").language == "en"


def test_the_command_decides_by_language(bundle, capsys):
    found = {}
    for code in ("deu", "pt-BR"):
        predict.main([str(bundle), "--text", TEXT, "--language", code, "--json", "--threads", "1"])
        found[code] = json.loads(capsys.readouterr().out)
    assert found["deu"]["labels"] == []
    assert sorted(found["pt-BR"]["labels"]) == sorted(LABELS)


@pytest.mark.parametrize("segments", [(), ("--segments", "sentence")])
def test_each_row_of_a_table_is_decided_by_its_language(bundle, tmp_path, capsys, segments):
    codes = ["deu", "", "pt-BR", "fi", "DE-at", "pt_BR"]
    (tmp_path / "in.csv").write_text(
        "".join(f"{TEXT},{code}\n" for code in ["x", *codes]).replace(f"{TEXT},x", "text,lang")
    )
    options = ["--input", str(tmp_path / "in.csv"), "--language_column", "lang", "--threads", "1", *segments]
    predict.main([str(bundle), *options, "--output", str(tmp_path / "out.jsonl")])
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    model = ec.load(bundle, threads=1)
    expected = [list(model.predict([TEXT], language=code or None)[0].labels) for code in codes]
    assert [sorted(row["predicted_labels"]) for row in rows] == list(map(sorted, expected))
    assert expected[0] == []
    assert len({row["p_joy"] for row in rows}) == 1
    assert (
        "note: rows in de, pt-br are decided by their own thresholds, others by the shared" in capsys.readouterr().err
    )


def test_a_language_that_is_none_makes_a_bad_row(bundle, tmp_path):
    (tmp_path / "in.csv").write_text(f"text,lang\n{TEXT},de\n{TEXT},German\n")
    options = [str(bundle), "--input", str(tmp_path / "in.csv"), "--output", str(tmp_path / "out.csv")]
    with pytest.raises(DataFormatError, match=r"line 3: column 'lang': 'German' is no code of a language\.$"):
        predict.main([*options, "--language_column", "lang"])
    predict.main([*options, "--language_column", "lang", "--bad_rows", "aside"])
    (bad,) = (tmp_path / "out.csv.bad.jsonl").read_text().splitlines()
    assert json.loads(bad)["reason"] == "column 'lang': 'German' is no code of a language"
    with pytest.raises(DataFormatError, match=r"no column 'language' .*Name the column with --language_column"):
        predict.main([*options, "--language_column", "language"])
    with pytest.raises(ConfigError, match="--language_column: for tables, which --input names"):
        predict.main([str(bundle), "--text", TEXT, "--language_column", "lang"])
    with pytest.raises(ConfigError, match="give either --profile or --language, or --language_column"):
        predict.main([*options, "--language_column", "lang", "--language", "de"])
    with pytest.raises(ConfigError, match="give either profile or language_column"):
        ec.score_files(bundle, tmp_path / "in.csv", tmp_path / "o.csv", profile="de", language_column="lang")


def test_a_bundle_without_thresholds_of_languages_says_so(tmp_path, capsys):
    (tmp_path / "in.csv").write_text(f"text,lang\n{TEXT},de\n")
    plain = stand_in_bundle(tmp_path / "bundle", labels=LABELS)
    ec.score_files(plain, tmp_path / "in.csv", tmp_path / "out.csv", language_column="lang")
    assert (
        "note: the bundle has thresholds of no language: all rows are decided by the shared" in capsys.readouterr().err
    )


def test_a_bundle_warns_outside_its_own_languages_alone(tmp_path, bundle):
    def warned(checks: TextChecks, text: str) -> bool:
        tokens = checks._bundle.tokenizer()
        return "other_language" in checks.of(text, tokens.encode([text])[0])[1]

    german, portuguese, russian = (
        "heute war ein guter tag und ich bin froh", "hoje foi um dia muito bom para mim", "сегодня я очень счастлив"
    )  # fmt: skip
    checks = TextChecks(Bundle.read(bundle))
    assert checks.languages == {"en", "de", "pt", "vmw"}  # what reference rows are in, and what is recorded
    assert [warned(checks, text) for text in (german, portuguese, russian)] == [False, False, True]
    english = TextChecks(Bundle.read(stand_in_bundle(tmp_path / "english", labels=LABELS)))
    assert [warned(english, text) for text in (german, portuguese, russian)] == [True, True, True]


@pytest.mark.slow
def test_the_service_decides_by_language(tmp_path, bundle):
    with (
        serving(tmp_path, bundle) as server,
        httpx.Client(base_url=server.url) as client,
        ec.Client(server.url) as ours,
    ):
        described = client.get("/model").json()
        assert described["languages"] == ["de", "pt-br", "vmw"]
        assert described["profiles"]["de"]["about"]["language"] == "de"
        answers = {
            code: client.post("/predict", json={"text": TEXT, "language": code}).json()
            for code in ("deu", "pt-BR", "fi")
        }
        assert [answer["profile"] for answer in answers.values()] == ["de", "pt-br", "default"]
        assert answers["deu"]["results"][0]["labels"] == []
        assert len(answers["pt-BR"]["results"][0]["labels"]) == 3
        assert ours.predict([TEXT], language="de")[0].labels == ()
        for body, reason in (
            ({"text": TEXT, "language": "de", "profile": "de"}, "give either `profile` or `language`"),
            ({"text": TEXT, "language": "zebracrossing"}, "no code of a language"),
        ):
            refused = client.post("/predict", json=body)
            assert refused.status_code == 422
            assert reason in refused.text
            assert "zebracrossing" not in refused.text
