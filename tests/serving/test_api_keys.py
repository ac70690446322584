from __future__ import annotations

import os

import pytest

from serving.api_keys import ApiKeys, api_keys
from serving.settings import Settings
from shared.errors import ConfigError, UnauthorizedError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_keys_everybody_may_come_in():
    ApiKeys([""]).check({})


@pytest.mark.parametrize(
    "headers", [{"x-api-key": "second"}, {"authorization": "Bearer second"}, {"authorization": "bearer first"}]
)
def test_any_of_several_keys_opens(headers):
    ApiKeys(["first", " second "]).check(headers)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "an API key is needed"),
        ({"x-api-key": "wrong"}, "the API key is wrong"),
        ({"authorization": "Basic first"}, "an API key is needed"),
        ({"x-api-key": "firs"}, "the API key is wrong"),
    ],
)
def test_a_missing_or_wrong_key_does_not_open(headers, message):
    with pytest.raises(UnauthorizedError, match=message):
        ApiKeys(["first"]).check(headers)


def test_keys_in_a_file_are_rotated_by_editing_it(tmp_path):
    file, clock = tmp_path / "keys", Clock()
    file.write_text("old  # until friday\n\n# comment\nother\n", encoding="utf-8")
    keys = ApiKeys([], file, clock=clock)
    keys.check({"x-api-key": "old"})
    file.write_text("new\n", encoding="utf-8")
    os.utime(file, (1, 1))
    keys.check({"x-api-key": "old"})  # not looked at again within a second
    clock.now = 2.0
    keys.check({"x-api-key": "new"})
    with pytest.raises(UnauthorizedError):
        keys.check({"x-api-key": "old"})


def test_a_file_that_vanishes_leaves_the_keys_known_before(tmp_path, caplog):
    file, clock = tmp_path / "keys", Clock()
    file.write_text("key\n", encoding="utf-8")
    keys = ApiKeys([], file, clock=clock)
    file.unlink()
    clock.now = 2.0
    keys.check({"x-api-key": "key"})
    with pytest.raises(UnauthorizedError):
        keys.check({"x-api-key": "wrong"})


def test_an_emptied_file_closes_the_service(tmp_path):
    file, clock = tmp_path / "keys", Clock()
    file.write_text("key\n", encoding="utf-8")
    keys = ApiKeys([], file, clock=clock)
    file.write_text("", encoding="utf-8")
    clock.now = 2.0
    with pytest.raises(UnauthorizedError):
        keys.check({"x-api-key": ""})
    with pytest.raises(UnauthorizedError):
        keys.check({})


def test_a_missing_or_empty_key_file_is_a_mistake_at_the_start(tmp_path):
    with pytest.raises(ConfigError, match=r"none cannot be read: No such file or directory\.$"):
        ApiKeys([], tmp_path / "none")
    (tmp_path / "empty").write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="holds no key"):
        ApiKeys([], tmp_path / "empty")


@pytest.mark.parametrize("given", [",", " ", " , ,"])
def test_keys_of_which_none_is_a_key_are_refused_and_open_nothing(given):
    with pytest.raises(ConfigError, match="EMOTION_API_KEYS holds no key, so that everybody could come in"):
        api_keys(Settings(api_keys=given))
    assert not api_keys(Settings(api_keys="")).needed
    assert api_keys(Settings(api_keys="a,")).needed


def test_an_emptied_or_vanished_file_is_logged_once(tmp_path, caplog):
    file, clock = tmp_path / "keys", Clock()
    file.write_text("key\n", encoding="utf-8")
    keys = ApiKeys(["fixed"], file, clock=clock)
    file.write_text("", encoding="utf-8")
    for _ in range(3):
        clock.now += 2.0
        keys.check({"x-api-key": "fixed"})
    assert caplog.text.count("holds no key any more: whoever has no other key is refused") == 1
    file.unlink()
    for _ in range(3):
        clock.now += 2.0
        keys.check({"x-api-key": "fixed"})
    assert caplog.text.count("the API key file cannot be read; the keys known before stay") == 1
