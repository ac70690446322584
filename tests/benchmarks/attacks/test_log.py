from __future__ import annotations

import json

from benchmarks.attacks.attack import CANARY
from benchmarks.attacks.log import inspect_log

CLEAN = json.dumps({"level": "info", "message": "request", "status": 422}) + "\n2026 [WARNING] Invalid HTTP request.\n"


def test_a_clean_log_has_no_findings():
    found = inspect_log(CLEAN, ["a text of somebody", "info"])
    assert found.lines == 2
    assert (found.excerpts, found.tracebacks, found.errors) == ((), (), ())


def test_the_canary_and_the_texts_of_a_fuzzer_are_found_as_they_are_and_escaped():
    assert len(inspect_log(CLEAN + f"oh {CANARY}!\n").excerpts) == 1
    text = 'näh "text"\u0001'
    assert len(inspect_log(CLEAN + f"{text}\n", [text]).excerpts) == 1
    assert len(inspect_log(CLEAN + json.dumps({"message": text}) + "\n", [text]).excerpts) == 1


def test_tracebacks_errors_and_lines_that_a_text_has_broken_are_found():
    assert len(inspect_log(CLEAN + "Traceback (most recent call last):\n").tracebacks) == 1
    for line in (json.dumps({"level": "error"}), json.dumps({"level": "info", "exception": "ValueError"}), "[ERROR] x",
                 '{"message": "half'):  # fmt: skip
        assert len(inspect_log(f"{CLEAN}{line}\n").errors) == 1, line
