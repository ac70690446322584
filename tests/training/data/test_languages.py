"""Corpora of several languages: codes, columns, splits, temperature."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from shared.errors import ConfigError, DataFormatError, InvalidInputError
from shared.languages import detected_code, language_code
from training.config.data import DataConfig, SourceConfig
from training.data.batching import BatchOrderSampler, plan_rows
from training.data.languages import sampling_shares
from training.data.load import load_data, load_eval_split
from training.data.sources import read_source

SIZES = {"en": 800, "deu": 80, "pt_BR": 20}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [
        {"text": f"{code} {row}", "labels": ["joy", "anger", "fear"][row % 3], "lang": code}
        for code, count in SIZES.items()
        for row in range(count)
    ]
    path = tmp_path / "table.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def config(table: Path, **options) -> DataConfig:
    return DataConfig(source="table", path=str(table), language_column="lang", **options)


@pytest.mark.parametrize(
    ("word", "code"),
    [("EN", "en"), ("eng", "en"), (" de ", "de"), ("deu", "de"), ("pt_BR", "pt-br"), ("ptbr", "pt-br"), ("chn", "zh"),
     ("vmw", "vmw"), ("zh-Hant-TW", "zh-hant-tw")],
)  # fmt: skip
def test_one_code_for_every_way_to_write_a_language(word, code):
    assert language_code(word) == code


@pytest.mark.parametrize("word", ["English", "e", "", "en us", "en/../x", "d3"])
def test_what_is_no_code_is_refused(word):
    with pytest.raises(InvalidInputError, match="no code of a language"):
        language_code(word)


def test_a_dialect_is_detected_as_its_language():
    assert [detected_code(code) for code in ("arq", "pt-br", "pcm", "fi")] == ["ar", "pt", "en", "fi"]


def test_a_column_names_the_language_and_splits_keep_the_share_of_each(table):
    splits = load_data(config(table)).named()
    assert Counter(splits["train"].languages) == {"en": 640, "de": 64, "pt-br": 16}
    for name in ("dev", "test"):
        assert Counter(splits[name].languages) == {"en": 80, "de": 8, "pt-br": 2}
    assert all(text.split()[0] == {"en": "en", "de": "deu", "pt-br": "pt_BR"}[code] for text, code in zip(
        splits["dev"].texts, splits["dev"].languages, strict=True))  # fmt: skip


def test_one_language_alone_has_the_rows_that_it_has_among_all(table):
    whole = load_data(config(table)).named()
    for name, part in load_data(config(table, languages=["deu"])).named().items():
        wanted = {text for text, code in zip(whole[name].texts, whole[name].languages, strict=True) if code == "de"}
        assert set(part.texts) == wanted
        assert set(part.languages) == {"de"}
    rows = load_eval_split(config(table, languages=["de"]), "test", load_data(config(table)).labels).rows
    assert len(rows) == 8


def test_shares_are_those_of_conneau_et_al():
    # 1000 : 10 rows; to the power of 0.5 it is 31.62 : 3.162, or 10 : 1; of 0.3, 7.943 : 1.995
    np.testing.assert_allclose(sampling_shares(np.array([1000.0, 10.0]), 0.5), [10 / 11, 1 / 11])
    np.testing.assert_allclose(sampling_shares(np.array([1000.0, 10.0]), 0.3), [0.79925, 0.20075], atol=1e-5)
    np.testing.assert_allclose(sampling_shares(np.array([1000.0, 10.0]), 1.0), [1000 / 1010, 10 / 1010])
    np.testing.assert_allclose(sampling_shares(np.array([1000.0, 10.0, 3.0]), 0.0), [1 / 3] * 3)


def test_an_epoch_holds_each_language_as_often_as_its_share_and_a_resumed_one_the_same_rows(table):
    train = load_data(config(table, language_alpha=0.5)).train
    # 640, 64 and 16 rows: roots 25.298, 8 and 4, so 488.4, 154.4 and 77.2 of 720
    lengths = np.ones(len(train), dtype=np.int32)

    def epoch(number: int) -> list[int]:
        sampler = BatchOrderSampler(lengths, 16, seed=3, plan=plan_rows(train, config(table).sampling))
        sampler.set_epoch(number)
        return list(sampler)

    first = epoch(1)
    assert Counter(train.languages[row] for row in first) == {"en": 488, "de": 154, "pt-br": 77}
    counts = Counter(first)
    portuguese = [row for row, code in enumerate(train.languages) if code == "pt-br"]
    assert {counts[row] for row in portuguese} == {4, 5}
    assert epoch(1) == first
    assert sorted(epoch(2)) != sorted(first)
    every_row_once = load_data(config(table, language_alpha=1.0)).train
    np.testing.assert_allclose(every_row_once.weights, 1.0)


def test_weights_of_sources_stay_within_a_language(tmp_path):
    for name, rows in (("a", 100), ("b", 100), ("c", 50)):
        content = [
            {"text": f"{name} {row}", "labels": ["joy", "anger"][row % 2], "split": "train" if row % 10 else "dev"}
            for row in range(rows)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    sources = [
        SourceConfig(kind="table", path=str(tmp_path / "a.jsonl"), language="en", weight=0.5),
        SourceConfig(kind="table", path=str(tmp_path / "b.jsonl"), language="en"),
        SourceConfig(kind="table", path=str(tmp_path / "c.jsonl"), language="fi"),
    ]
    train = load_data(DataConfig(sources=sources, language_alpha=0.0)).train
    codes = np.array([text[0] for text in train.texts])
    # 45 + 90 weighted rows of English and 45 of Finnish: 90 each
    sums = {name: float(train.weights[codes == name].sum()) for name in "abc"}
    assert sums == pytest.approx({"a": 30, "b": 60, "c": 90})


def test_what_is_not_known_is_refused(table, tmp_path):
    unknown = DataConfig(source="table", path=str(table), text_column="text", label_column="labels")
    with pytest.raises(ConfigError, match=r"language_alpha is 0\.3, and the language of rows of table is not known"):
        load_data(DataConfig(**{**vars(unknown), "language_alpha": 0.3}))
    with pytest.raises(ConfigError, match="the language of the rows of table is not known"):
        load_data(DataConfig(**{**vars(unknown), "languages": ["en"]}))
    with pytest.raises(DataFormatError, match=r"no row is in the language fi.*The rows are in: de, en, pt-br"):
        load_data(config(table, languages=["fi"]))
    with pytest.raises(ConfigError, match="data.languages: 'Finnish' is no code"):
        load_data(config(table, languages=["Finnish"]))
    with pytest.raises(ConfigError, match=r"data\.language and data\.language_column are both given"):
        load_data(config(table, language="en"))
    with pytest.raises(ConfigError, match=r"data\.language: 'German' is no code"):
        read_source(SourceConfig(kind="table", path=str(table), language="German"))
    with pytest.raises(ConfigError, match="data.language is de, and sample is a corpus in en"):
        read_source(SourceConfig(kind="sample", language="de"))
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "a b", "labels": "joy", "lang": "German"}\n' * 2, encoding="utf-8")
    with pytest.raises(DataFormatError, match=r"bad\.jsonl, column 'lang': 'German' is no code of a language"):
        load_data(config(bad))


def test_a_corpus_says_its_language():
    assert read_source(SourceConfig(kind="sample")).language == "en"


def test_files_of_many_languages_are_one_corpus(tmp_path):
    for split in ("train", "dev"):
        (tmp_path / split).mkdir()
        for code, header, row in (
            ("eng", "id,text,anger,fear,joy", "eng_1,I am glad,0,0,1"),
            ("esp", "id,text,anger,disgust,joy", "esp_1,qué asco,0,1,0"),
        ):
            lines = [header, row.replace("_1", f"_{split}")]
            (tmp_path / split / f"{code}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    raw = read_source(SourceConfig(kind="brighter", path=str(tmp_path), language="all"))
    assert raw.labels == ("anger", "fear", "joy", "disgust")
    train = raw.splits["train"]
    assert train.languages == ["en", "es"]
    assert train.ids == ["en:eng_train", "es:esp_train"]
    np.testing.assert_array_equal(train.targets, [[0, 0, 1, 0], [0, 0, 0, 1]])
    np.testing.assert_array_equal(train.known, [[1, 1, 1, 0], [1, 0, 1, 1]])
    one = read_source(SourceConfig(kind="brighter", path=str(tmp_path), language="esp"))
    assert (one.splits["dev"].languages, one.splits["dev"].ids) == (["es"], ["esp_dev"])
    with pytest.raises(DataFormatError, match=r"has no language 'deu'.*data\.language: eng, esp \(several"):
        read_source(SourceConfig(kind="brighter", path=str(tmp_path), language="eng,deu"))


def test_the_column_of_the_language_is_no_candidate_for_texts_or_labels(table):
    notes = read_source(SourceConfig(kind="table", path=str(table), language_column="lang")).notes
    assert any("label column 'labels'" in note for note in notes)
    assert not any("lang" in note for note in notes)


def test_a_cell_of_a_language_that_is_a_list_is_refused_in_a_line(tmp_path):
    table = tmp_path / "table.jsonl"
    table.write_text('{"text": "so glad", "label": "joy", "lang": ["en"]}\n' * 4, encoding="utf-8")
    with pytest.raises(DataFormatError, match=r"table\.jsonl, column 'lang'"):
        load_data(config(table))
