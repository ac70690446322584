"""What the tests of bulk scoring share: a bundle of random weights, and parts so small that a table has several."""

import pytest

from serving import predict
from tests.serving.bulk.tables import LABELS
from tests.serving.bundles import stand_in_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return stand_in_bundle(tmp_path_factory.mktemp("stand_in") / "bundle", labels=LABELS)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(predict, "PART_ROWS", 50)
