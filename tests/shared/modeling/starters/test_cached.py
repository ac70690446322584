"""What starters have in common: files are checked by name and digest."""

import hashlib

import pytest

from shared.errors import ModelError
from shared.modeling.starters.cached import check_digests


def test_a_file_is_compared_with_its_digest(tmp_path):
    (tmp_path / "config.json").write_bytes(b"{}")
    check_digests(tmp_path, {"config.json": hashlib.sha256(b"{}").hexdigest()}, "pip install it")
    with pytest.raises(ModelError, match=r"config\.json has sha256 44136fa3\w+, expected 0.*with `pip install it`"):
        check_digests(tmp_path, {"config.json": "0" * 64}, "pip install it")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"model\.safetensors is missing. Install it again with `pip install it`"):
        check_digests(tmp_path, {"model.safetensors": "0" * 64}, "pip install it")
