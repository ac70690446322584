"""Where a command writes its report: into a folder of the user's, beside what is there."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import ConfigError
from shared.manifest import MANIFEST


def results_folder(output: str | None) -> Path | None:
    """The folder named by `--output`, looked at before anything is computed; None when none is.

    Raises:
        ConfigError: when a file, or a bundle, which would no longer be as it was sealed, is there.
    """
    if output is None:
        return None
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"output is {output}, which is a file.", hint="Name a folder; it may be there already.")
    if (folder / MANIFEST).is_file():
        raise ConfigError(f"output is {output}, which is a bundle.", hint="Name another folder, beside it for example.")
    return folder


@contextmanager
def written_into(folder: Path) -> Iterator[Path]:
    """An empty folder, whose files are moved into `folder` when the block ends well; other files there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".results.", dir=folder) as name:
        yield Path(name)
        for file in sorted(Path(name).iterdir()):
            file.replace(folder / file.name)


def note_older(folder: Path, name: str, option: str) -> None:
    """Say on stderr that a file of an earlier call is still there, which this call did not write."""
    if (folder / name).is_file():
        print(f"note: {folder / name} is of an earlier call; {option} writes it anew", file=sys.stderr)
