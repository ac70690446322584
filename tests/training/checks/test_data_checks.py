"""Checks of a corpus: labels that cannot be learnt, leaks, texts that are cut."""

from dataclasses import replace

import numpy as np
import pytest

from shared.errors import PreflightError
from shared.labels import LabelSet
from shared.tokenizer import TextTokenizer
from tests.training.rows import LABELS, tiny_corpus
from training.checks.check import run_checks
from training.checks.data import (
    check_conflicts,
    check_labels,
    check_leaks,
    check_lengths,
    check_unknown_tokens,
    data_checks,
)
from training.config.data import DataConfig
from training.data.corpus import Splits
from training.data.load import load_data
from training.data.report import DataReport, SplitCounts

NAMES = LabelSet(LABELS)
TRAIN = tiny_corpus(40, seed=0)


def splits(train=TRAIN, dev=None, test=None):
    dev = dev or replace(tiny_corpus(10, seed=1), texts=[f"held out {row}" for row in range(10)])
    return Splits(train, dev, test, NAMES, DataReport((), (), (), {}))


def with_column(column, value, known=True):
    targets, annotated = TRAIN.targets.copy(), TRAIN.known.copy()
    targets[:, column], annotated[:, column] = value, known
    return replace(TRAIN, targets=targets, known=annotated)


def test_a_good_corpus_passes_and_each_check_says_what_it_saw(tiny_model):
    tokenizer = TextTokenizer.from_file(tiny_model / "tokenizer.json", max_length=32)
    lines = run_checks(data_checks(splits(), tokenizer))
    assert [line.split(":")[0] for line in lines] == ["labels", "conflicts", "leaks", "lengths", "unknown_tokens"]
    assert "3 labels in 40 rows" in lines[0]


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        (with_column(1, 0.0), r"without a positive training row \(all zero\): anger"),
        (with_column(2, 1.0), r"positive in every training row \(all one\): fear"),
        (with_column(0, 0.0, known=False), "annotated in no training row: joy"),
    ],
)
def test_labels_that_cannot_be_learnt_are_named(corpus, message):
    with pytest.raises(PreflightError, match=message):
        check_labels(corpus, NAMES)


def test_texts_of_train_in_a_held_out_split_are_counted_after_normalisation():
    test = replace(tiny_corpus(2, seed=1), texts=[f"  {TRAIN.texts[3]} ", "new"])
    with pytest.raises(PreflightError, match="1 texts of train are also in test"):
        check_leaks(splits(test=test))


def test_texts_that_are_mostly_cut_stop_the_run(tiny_model):
    tokenizer = TextTokenizer.from_file(tiny_model / "tokenizer.json", max_length=4)
    with pytest.raises(PreflightError, match=r"longer than data.max_length 4; .* Raise --data.max_length"):
        check_lengths(TRAIN.texts, tokenizer)


def test_failures_are_told_together_with_how_to_skip_them(tiny_model):
    tokenizer = TextTokenizer.from_file(tiny_model / "tokenizer.json", max_length=4)
    corpus = with_column(1, 0.0)
    leaking = replace(corpus, texts=[*corpus.texts[:-1], "held out 1"])
    checks = data_checks(splits(leaking), tokenizer)
    with pytest.raises(PreflightError, match=r"labels: .*leaks: .*lengths: .*--preflight.skip '\[labels, leaks, len"):
        run_checks(checks)
    lines = run_checks(checks, ["labels", "leaks", "lengths"])
    assert [line for line in lines if line.endswith("skipped")] == [
        "labels: skipped",
        "leaks: skipped",
        "lengths: skipped",
    ]
    assert np.isfinite(corpus.targets).all()


def test_a_script_that_the_vocabulary_lacks_is_refused(tiny_model):
    tokenizer = TextTokenizer.from_file(tiny_model / "tokenizer.json", max_length=32)
    assert check_unknown_tokens(splits(), tokenizer).startswith("train ")
    foreign = replace(tiny_corpus(10, seed=1), texts=[f"ሰላም ለዓለም ደስታ {'ሀ' * row}" for row in range(1, 11)])
    with pytest.raises(PreflightError, match=r"unknown tokens: train \d+\.\d%, dev 100\.0%\)\. Choose a checkpoint"):
        check_unknown_tokens(splits(dev=foreign), tokenizer)


def test_nearly_all_labels_on_nearly_all_rows_are_refused():
    targets = np.ones_like(TRAIN.targets)
    targets[0] = 0
    with pytest.raises(PreflightError, match=r"nearly all labels are on nearly all rows \(98% of the entries\)"):
        check_labels(replace(TRAIN, targets=targets), NAMES)


def test_texts_that_are_mostly_in_conflict_are_refused():
    counts = SplitCounts("table", "train", read=60, duplicates=30, texts=30, conflicts=20, kept=30)
    data = splits()
    assert check_conflicts(data) == "0 texts had copies with different labels"
    with pytest.raises(PreflightError, match=r"20 of 30 texts of table train occur several times with different"):
        check_conflicts(replace(data, report=DataReport((), (counts,), (), {})))


def test_conflicts_of_a_table_are_counted_among_the_texts_of_all_its_splits(tmp_path):
    """42 of 100 texts, of which train has 80."""
    rows = [f"text {i},{label}" for i in range(100) for label in (("joy", "fear") if i < 42 else ("joy",))]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["text,label", *rows]))
    data = load_data(DataConfig(source="table", path=str(path)))
    assert check_conflicts(data) == "42 texts had copies with different labels"


def test_near_duplicates_across_splits_are_counted():
    texts = [
        TRAIN.texts[0].upper() + "!!",
        f"@someone {TRAIN.texts[1]} https://x.y/z",
        TRAIN.texts[2] + "\u200b.",
        "new",
    ]
    near = replace(tiny_corpus(4, seed=1), texts=texts)
    assert check_leaks(splits(dev=near)).endswith("nearly equal to one are 3 of dev")
