from __future__ import annotations

import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BundleFormatError
from shared.reference import Reference


def rows(texts: list[str]) -> Reference:
    n = len(texts)
    marks = np.zeros((n, 2), np.uint8)
    return Reference(np.array([f"r{i}" for i in range(n)]), texts, marks, marks == 0, marks.astype(np.float32), "dev")


@given(st.lists(st.text(st.characters(codec=None)), max_size=8))
def test_any_texts_come_back_as_they_were(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("any") / "reference.npz"
    rows(texts).write(path)
    assert Reference.read(path).texts == texts


def test_one_long_text_costs_its_own_length_and_not_that_of_all(tmp_path):
    texts = ["short"] * 1499 + ["x" * 128_800]
    path = tmp_path / "reference.npz"
    rows(texts).write(path)
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    assert unpacked < 250_000  # as an array of strings: 1500 x 128,800 x 4 bytes = 773 MB
    assert Reference.read(path).texts == texts


def test_a_reference_of_schema_version_1_is_read(tmp_path):
    wanted = rows(["i am happy", "naïve 🙂"])
    path = tmp_path / "reference.npz"
    np.savez_compressed(
        path, row_ids=wanted.row_ids, texts=np.array(wanted.texts), labels=wanted.labels, known=wanted.known,
        logits=wanted.logits, split=np.array("dev"),
    )  # fmt: skip
    found = Reference.read(path)
    assert (found.texts, found.split) == (wanted.texts, "dev")
    np.testing.assert_array_equal(found.logits, wanted.logits)


def test_an_archive_that_would_unpack_to_more_than_allowed_is_refused_unread(tmp_path):
    path = tmp_path / "reference.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("logits.npy", "w") as entry:
        for _ in range(513):
            entry.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    with pytest.raises(BundleFormatError, match="unpacks to 513 MiB; allowed: at most 512 MiB"):
        Reference.read(path)


@pytest.mark.parametrize("ends", [[4], [6], [3, 2], [-1, 5], ["x", "y"]])
def test_places_that_do_not_fit_the_bytes_are_refused(tmp_path, ends):
    path = tmp_path / "reference.npz"
    wanted = rows(["a"] * len(ends))
    np.savez_compressed(
        path, row_ids=wanted.row_ids, text_bytes=np.frombuffer(b"hello", np.uint8), text_ends=np.array(ends),
        labels=wanted.labels, known=wanted.known, logits=wanted.logits, split=np.array("dev"),
    )  # fmt: skip
    with pytest.raises(BundleFormatError, match="is not a readable reference"):
        Reference.read(path)
