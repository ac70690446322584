import typing
from dataclasses import fields, is_dataclass, replace

import pytest
from docstring_parser import parse_from_object

from shared.errors import ConfigError
from training.config.data import DataConfig, SamplingConfig, SourceConfig, SourceKind
from training.data.sources import INTENSITY_READERS, READERS


@pytest.mark.parametrize("kind", [SourceConfig, DataConfig, SamplingConfig])
def test_every_key_says_what_it_means(kind):
    classes = [part for part in kind.__mro__ if is_dataclass(part)]
    described = {param.arg_name for part in classes for param in parse_from_object(part).params if param.description}
    assert described == {field.name for field in fields(kind)}


def test_every_kind_of_source_has_a_reader():
    assert set(typing.get_args(SourceKind)) == set(READERS) | set(INTENSITY_READERS)


def test_short_keys_describe_one_source():
    config = DataConfig(source="table", path="x.csv", text_column="t", label_column="l", delimiter=";")
    expected = SourceConfig(kind="table", path="x.csv", text_column="t", label_column="l", delimiter=";")
    assert config.resolved_sources() == (expected,)


def test_sources_and_short_keys_together_are_refused():
    config = DataConfig(source="isear", path="x", sources=[SourceConfig()])
    with pytest.raises(ConfigError, match="data.sources lists 1 corpora, and data.source, data.path or another key"):
        config.resolved_sources()


def test_weight_must_be_positive():
    with pytest.raises(ConfigError, match="the weight of the source 'sample' is 0; it must be above 0"):
        DataConfig(sources=[SourceConfig(weight=0)]).resolved_sources()


@pytest.mark.parametrize(("dev", "test"), [(0, 0.1), (0.6, 0.4), (0.1, -0.1), (1.0, 0.0)])
def test_fractions_that_leave_nothing_are_refused(dev, test):
    with pytest.raises(ConfigError, match="are not possible: dev must be above 0"):
        DataConfig(dev_fraction=dev, test_fraction=test).check_fractions()


def test_a_subset_needs_a_row():
    with pytest.raises(ConfigError, match="data.max_train_rows is 0; it must be 1 or more"):
        replace(DataConfig(), max_train_rows=0).check_fractions()
