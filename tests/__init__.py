"""The test suite; `tests.helpers` makes tiny models and corpora in process."""
