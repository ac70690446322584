import numpy as np
import pytest

from shared.errors import DataFormatError, InvalidInputError
from shared.labels import (
    GOEMOTIONS,
    TAXONOMIES,
    LabelSet,
    group_decisions,
    label_difference,
    taxonomies_for,
    taxonomy_for,
)


def test_goemotions_labels_stand_in_the_order_of_their_official_ids():
    assert len(GOEMOTIONS) == 28
    assert (GOEMOTIONS[0], GOEMOTIONS[15], GOEMOTIONS[16], GOEMOTIONS[27]) == (
        "admiration",
        "gratitude",
        "grief",
        "neutral",
    )


@pytest.mark.parametrize("name", ["ekman", "sentiment"])
def test_each_published_grouping_covers_every_label_once(name):
    members = [label for group in TAXONOMIES[name].groups.values() for label in group]
    assert sorted(members) == sorted(GOEMOTIONS)


def test_group_sizes_are_those_of_the_authors_mapping():
    ekman = {group: len(members) for group, members in TAXONOMIES["ekman"].groups.items()}
    assert ekman == {
        "anger": 3,
        "disgust": 1,
        "fear": 2,
        "joy": 12,
        "sadness": 5,
        "surprise": 4,
        "neutral": 1,
    }
    sentiment = {group: len(members) for group, members in TAXONOMIES["sentiment"].groups.items()}
    assert sentiment == {"positive": 12, "negative": 11, "ambiguous": 4, "neutral": 1}


def test_multi_hot_and_names_are_inverse():
    labels = LabelSet(("a", "b", "c"))
    rows = [["b"], [], ["a", 2]]
    matrix = labels.multi_hot(rows)
    assert matrix.tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 1]]
    assert labels.names_of(matrix.astype(bool)) == [["b"], [], ["a", "c"]]


def test_an_unknown_label_names_the_nearest_one():
    with pytest.raises(DataFormatError, match="unknown label 'admirration'.*Did you mean 'admiration'"):
        LabelSet(GOEMOTIONS).index("admirration")
    with pytest.raises(DataFormatError, match="unknown label 'zzz'.*Allowed: a, b"):
        LabelSet(("a", "b")).index("zzz")


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_id_out_of_range_is_refused(label):
    with pytest.raises(DataFormatError, match=rf"label id {label} is outside 0..1"):
        LabelSet(("a", "b")).multi_hot([[label]])


@pytest.mark.parametrize(
    ("names", "message"), [((), "received"), (("a", "a"), "repeated: a"), (("a", " "), "received")]
)
def test_label_names_must_be_distinct_and_not_blank(names, message):
    with pytest.raises(DataFormatError, match=message):
        LabelSet(names)


def test_a_custom_label_set_has_only_its_own_taxonomy():
    labels = LabelSet(("calm", "angry"))
    assert list(taxonomies_for(labels)) == ["labels"]
    assert taxonomy_for(None, labels).groups == {"calm": ("calm",), "angry": ("angry",)}
    with pytest.raises(InvalidInputError, match="unknown taxonomy 'ekman'. Allowed: labels"):
        taxonomy_for("ekman", labels)


def test_published_taxonomies_do_not_depend_on_the_order_of_the_labels():
    assert list(taxonomies_for(LabelSet(GOEMOTIONS[::-1]))) == ["goemotions", "ekman", "sentiment"]


def test_a_group_is_decided_exactly_where_one_of_its_members_is():
    labels = LabelSet(GOEMOTIONS)
    generator = np.random.default_rng(0)
    p, t = generator.random((50, 28)), generator.uniform(0.5, 0.99, 28)
    for taxonomy in TAXONOMIES.values():
        group_p, group_t = group_decisions(p, t, labels, taxonomy)
        for column, members in enumerate(taxonomy.groups.values()):
            picked = [labels.index(member) for member in members]
            expected = (p[:, picked] >= t[picked]).any(axis=1)
            assert ((group_p[:, column] >= group_t[:, column]) == expected).all()


def test_the_first_difference_between_two_lists_of_labels_is_said():
    where = ("the model", "bundle.json")
    assert label_difference(["joy"], ["joy", "fear"], where) == "1 labels in the model and 2 in bundle.json"
    assert (
        label_difference(["joy", "fear", "love"], ["joy", "anger", "envy"], where)
        == "label 1 is 'fear' in the model and 'anger' in bundle.json"
    )
