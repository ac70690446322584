"""The command line of a peer: a bundle and a port of this machine."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from shared.cli import run_command


def run_server(description: str | None, create_app: Callable[[Path], Any]) -> None:
    """Parse the command line and serve the application until told to stop."""

    def main() -> None:
        parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("bundle", type=Path, help="the bundle's folder")
        parser.add_argument("--port", type=int, default=3001, help="on 127.0.0.1 (default 3001)")
        options = parser.parse_args()
        uvicorn.run(
            create_app(options.bundle), host="127.0.0.1", port=options.port, log_level="warning", access_log=False
        )

    run_command(main)
