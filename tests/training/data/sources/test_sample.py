import pytest

from shared.errors import DataFormatError, DataNotFoundError
from shared.labels import GOEMOTIONS, TAXONOMIES
from training.config.data import SourceConfig
from training.data.sources.sample import FOLDER, hold_out_families, read_sample


def families(folder, split):
    """Phrase families in a split, by looking the rows up in the files."""
    found = set()
    for name in split.ids:
        label, number = name.split(":")
        found.add((label, (folder / f"{label}.tsv").read_text().split("\n")[int(number) - 1].split("\t")[1]))
    return found


@pytest.fixture
def folder(tmp_path):
    for label in GOEMOTIONS:
        rows = [f"{label}\tfamily {f}\t{label} sentence {f} {i}" for f in range(15) for i in range(2)]
        (tmp_path / f"{label}.tsv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_dev_and_test_are_two_families_of_fifteen_each(folder):
    corpus = read_sample(SourceConfig(path=str(folder)))
    found = {name: families(folder, split) for name, split in corpus.splits.items()}
    assert {name: len(of_split) for name, of_split in found.items()} == {"train": 308, "dev": 56, "test": 56}
    assert not found["train"] & found["dev"] | found["train"] & found["test"] | found["dev"] & found["test"]


def test_the_choice_of_families_does_not_depend_on_their_order():
    names = [f"family {i}" for i in range(15)]
    assert hold_out_families("joy", names) == hold_out_families("joy", names[::-1])


def test_other_files_of_the_folder_are_read_too(folder):
    lines = [f"{label}\tnegation-{f}\t{f} of {label}" for f in range(15) for label in ("joy", "neutral")]
    (folder / "negation.tsv").write_text("\n".join(lines) + "\n")
    splits = read_sample(SourceConfig(path=str(folder))).splits
    assert {name: sum(i.startswith("negation:") for i in split.ids) for name, split in splits.items()} == {
        "train": 22, "dev": 4, "test": 4,
    }  # fmt: skip


def test_label_with_few_families_still_trains():
    assert list(hold_out_families("joy", ["a", "b"]).values()) == ["train", "train"]
    assert sorted(hold_out_families("joy", ["a", "b", "c"]).values()) == ["dev", "test", "train"]


def test_row_may_carry_several_labels(folder):
    (folder / "joy.tsv").write_text("joy,love\tfamily 1\tA day with you.\n")
    corpus = read_sample(SourceConfig(path=str(folder)))
    row = corpus.splits["train"].ids.index("joy:1")
    assert corpus.splits["train"].targets[row].sum() == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("joy\tA day.", r"joy.tsv, line 1: 2 fields, expected labels, family and text"),
        ("joi\tfamily\tA day.", r"joy.tsv, line 1: unknown label 'joi'. Allowed: admiration"),
    ],
)
def test_wrong_line_is_named(folder, line, message):
    (folder / "joy.tsv").write_text(line + "\n")
    with pytest.raises(DataFormatError, match=message):
        read_sample(SourceConfig(path=str(folder)))


def test_missing_file_is_named(folder):
    (folder / "joy.tsv").unlink()
    with pytest.raises(DataNotFoundError, match=r"the embedded corpus not found: looked for .*joy.tsv"):
        read_sample(SourceConfig(path=str(folder)))


def test_the_embedded_corpus_covers_every_label_in_every_split_and_repeats_no_text():
    corpus = read_sample(SourceConfig())
    texts = [text for split in corpus.splits.values() for text in split.texts]
    assert len(texts) == len(set(texts)) > 2000
    for split in corpus.splits.values():
        assert split.targets.any(axis=0).all()
    several = sum((split.targets.sum(axis=1) > 1).sum() for split in corpus.splits.values())
    assert 0.15 < several / len(texts) < 0.35


def test_negated_and_plain_emotions_are_both_in_the_embedded_corpus():
    corpus = read_sample(SourceConfig())
    for kind in ("negation", "plain", "emoji", "informal", "entries", "distress", "letdown"):
        assert {name for name, split in corpus.splits.items() if any(i.startswith(kind) for i in split.ids)} == {
            "train", "dev", "test",
        }  # fmt: skip


def test_no_sentence_of_distress_is_only_positive_or_ambiguous():
    rows = [line.split("\t")[0].split(",") for line in (FOLDER / "distress.tsv").read_text().splitlines()]
    harmless = {*TAXONOMIES["sentiment"].groups["positive"], *TAXONOMIES["sentiment"].groups["ambiguous"], "neutral"}
    assert len(rows) > 70
    assert not [labels for labels in rows if harmless.issuperset(labels)]
