"""`emotion serve [BUNDLE]`: the service, as `bentoml serve` starts it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.bundle import default_bundle_path
from shared.cli import CommandParser, positive

SERVICE = "serving.service:EmotionService"


def main(argv: Sequence[str]) -> int:
    """Start the service in place of this process."""
    options = parse(argv)
    environment = {**os.environ, "EMOTION_BUNDLE": str(options.bundle.absolute()), "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-m", "bentoml", "serve", SERVICE, "--host", options.host, "--port", str(options.port)]
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options of the command."""
    parser = CommandParser(
        prog="emotion_classifiers.serve",
        description="Serve a bundle over HTTP, with a page to try it; settings are EMOTION_* environment variables.",
    )
    parser.add_argument(
        "bundle", type=Path, nargs="?", help="the bundle's folder (default: $EMOTION_BUNDLE, else runs/latest/bundle)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=positive, default=3000, help="port to listen on (default: 3000)")
    options = parser.parse_args(argv)
    options.bundle = options.bundle or default_bundle_path()
    return options
