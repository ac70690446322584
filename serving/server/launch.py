"""Start `bentoml serve` on the installed packages, from any folder: what `emotion serve` does."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from shared.cli import CommandParser, run_command
from shared.environment import ROOT

SERVICE = "serving.service:EmotionService"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Become the process of `bentoml serve`, so that signals reach it as they would there.

    Raises:
        ConfigError: when an argument is not allowed.
    """
    parser = CommandParser(prog="serving.server.launch", description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", help="the bundle's folder (default: the one served here)")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, help="port to listen on (default: $PORT, else 3000)")
    options = parser.parse_args(arguments)
    # --help does not wait for them
    from serving.settings import HOST, PREFIX, port_of_the_environment  # noqa: PLC0415
    from serving.worker.command import ONE_THREAD  # noqa: PLC0415
    from shared.bundle import default_bundle_path  # noqa: PLC0415

    port = options.port or port_of_the_environment()
    # an absolute path: `bentoml serve` imports relative to the folder of the packages
    bundle = (options.bundle or default_bundle_path()).absolute()
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, **ONE_THREAD, f"{PREFIX}BUNDLE": str(bundle), "PYTHONPATH": paths}
    command = [sys.executable, "-m", "bentoml", "serve", SERVICE, "--port", str(port)]
    host = options.host or os.environ.get(HOST)
    command += ["--host", host] if host else []
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port, 1 to 65535")
    return int(text)


if __name__ == "__main__":
    run_command(main)
