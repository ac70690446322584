"""What the import gives: every public name, nothing heavy, one version."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources

import pytest

import emotion_classifiers as ec

IMPORT_S = 0.15


@pytest.mark.parametrize("name", ec.__all__)
def test_every_public_name_is_there(name):
    assert getattr(ec, name) is not None
    assert name in dir(ec)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'emotion_classifiers' has no attribute 'lode'"):
        ec.lode  # noqa: B018


def test_the_package_is_typed():
    assert resources.files("emotion_classifiers").joinpath("py.typed").is_file()


def test_the_import_takes_a_moment():
    """Its own cost in processor time, beside that of an interpreter that starts: 0.02 s alone on one core."""
    script = (
        "import time; start = time.process_time(); import emotion_classifiers; import sys\n"
        "print(time.process_time() - start, *sorted(m for m in sys.modules if m in ('numpy', 'torch', 'httpx')))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(3)
    ]
    assert all(len(run) == 1 for run in runs)
    assert min(float(run[0]) for run in runs) < IMPORT_S
