"""The page about conversations names keys, options and parameters that exist, and forms that are accepted."""

from __future__ import annotations

import inspect
import json
import re
import shlex

import pytest

import emotion_classifiers as ec
from serving.http.schemas import parse_request
from serving.predict import _parse
from tests.docs.pages import ROOT, blocks, commands
from training.config import Config
from training.config.evaluate import CompareOptions
from training.config.parser import parse_options

NAME = "docs/conversations.md"
PAGE = (ROOT / NAME).read_text(encoding="utf-8")
SHELL = [command for block in blocks(NAME, "sh") for command in commands(block)]


@pytest.mark.parametrize("key", sorted(set(re.findall(r"`(?:--)?data\.(\w+)", PAGE))))
def test_every_key_exists(key):
    assert key in Config().to_dict()["data"]


@pytest.mark.parametrize("command", SHELL)
def test_every_command_has_its_options(command):
    _, verb, *words = shlex.split(command)
    if verb == "predict":
        _parse(words)
    elif verb == "train":
        parse_options(Config, words, prog="test", description="")
    else:
        assert verb == "compare"
        parse_options(CompareOptions, words[2:], prog="test", description="")


@pytest.mark.parametrize("body", blocks(NAME, "json"))
def test_every_request_is_accepted(body):
    request = parse_request(json.loads(body), max_texts=9)
    assert request.contexts[0][0].text == "They gave me the job!"


def test_the_parameters_in_the_snippets_exist():
    found = "\n".join(blocks(NAME, "python"))
    compile(found, NAME, "exec")
    for function, call in ((ec.Model.predict, r"model\.predict"), (ec.Client.predict, r"client\.predict"),
                           (ec.Model.conversation, r"model\.conversation")):  # fmt: skip
        named = set(re.findall(r"\b(\w+)=", " ".join(re.findall(rf"{call}\((.*)\)", found))))
        assert named
        assert named <= set(inspect.signature(function).parameters)
    assert set(re.findall(r"found\.(\w+)", found)) <= set(ec.Conversation.__dataclass_fields__)
