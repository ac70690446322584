"""Pack a verified bundle and the service into one Bento: `python -m serving.pack [BUNDLE]`; it prints the tag."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from serving.commands import CommandParser
from serving.exported import choose_model
from serving.runtime import resolve_provider
from shared.bundle import Bundle, default_bundle_path
from shared.cli import run_command
from shared.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
CODE = ("shared", "serving")


def main(arguments: Sequence[str] | None = None) -> None:
    """Pack the bundle that the command line names."""
    parser = CommandParser(prog="serving.pack", description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", help="the bundle's folder (default: the one served here)")
    options = parser.parse_args(arguments)
    sys.stdout.write(f"{pack(options.bundle or default_bundle_path())}\n")


def pack(path: Path) -> str:
    """Build the Bento from a folder that holds nothing else; its tag.

    Raises:
        BundleError: when the bundle is missing, incomplete or was changed.
        VerificationError: when no model of it passed its verification.
        ConfigError: when BentoML cannot build it.
    """
    bundle = Bundle.read(path)
    choose_model(bundle, provider=resolve_provider("cpu"))
    with tempfile.TemporaryDirectory(prefix="bento-") as temporary:
        context = Path(temporary)
        for name in CODE:
            shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "bentofile.yaml", context)
        shutil.copytree(bundle.path.resolve(), context / "bundle")
        command = [sys.executable, "-m", "bentoml", "build", "--output", "tag", "."]
        built = subprocess.run(command, cwd=context, check=False, capture_output=True, text=True)
    tag = built.stdout.strip().rpartition("\n")[2].removeprefix("__tag__:")
    if built.returncode or not tag:
        reason = " ".join((built.stderr or built.stdout).split())[-300:]
        raise ConfigError(f"bentoml could not build the Bento: {reason}.")
    return tag


if __name__ == "__main__":
    run_command(main)
