"""Checks of the machine."""

import pytest

from shared.errors import PreflightError
from training.checks import environment


def test_versions_and_devices_are_told():
    assert "transformers" in environment.check_versions()


def test_an_old_package_is_refused(monkeypatch):
    monkeypatch.setattr(environment, "version", lambda _: "2.1.0")
    with pytest.raises(PreflightError, match=r"torch is 2.1.0; 2.6 or newer is needed. pip install -U 'torch>=2.6'"):
        environment.check_versions()
