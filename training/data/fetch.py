"""Download a public corpus: resumed where it broke off, verified, and laid out as its source reads it."""

from __future__ import annotations

import difflib
import http.client
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.cli import is_terminal
from shared.errors import ConfigError, DataFormatError, DataNotFoundError
from shared.files import read_json, replacing_file, sha256_file, write_json
from training.config.parser import parse_options
from training.data.catalogue import BY_HAND, DOWNLOADS, Download, RemoteFile

RECORD = "download.json"
"""What was downloaded into a folder, from where, with which digest, and under which licence it was accepted."""
TIMEOUT_S = 30.0
BLOCK = 2**18
TRIES = 5
"""Connections per file; each goes on where the one before broke off."""
DESCRIPTION = "Download a public corpus from its official address into the layout that its source reads."


@dataclass(frozen=True)
class GetOptions:
    """Options of `python -m training.data get NAME`."""

    folder: str | None = None
    """Where it goes; data/NAME when left out."""
    accept_licence: bool = False
    """Accept the licence that is shown, where nobody can be asked."""


def main(argv: Sequence[str]) -> None:
    """Download what the command line names, and say how to use it."""
    options, (name,) = parse_options(
        GetOptions, argv, prog="python -m training.data get", description=DESCRIPTION,
        positionals={"name": f"Name of the corpus: {', '.join(DOWNLOADS)}."},
    )  # fmt: skip
    folder = get_corpus(name, Path(options.folder or f"data/{name}"), accepted=options.accept_licence, tell=print)
    print(f"Use it with: --data.source {name} --data.path {folder}")


def get_corpus(
    name: str, folder: Path, *, accepted: bool = False, tell: Callable[[str], None] = lambda line: None,
    catalogue: Mapping[str, Download] = DOWNLOADS,
) -> Path:  # fmt: skip
    """Bring a corpus into a folder; what is there already and has its digest stays.

    Args:
        name: kind of source.
        folder: where its files go.
        accepted: whether its licence is accepted; else a person at a terminal is asked, once for a folder.
        tell: receives lines about what is done.
        catalogue: the corpora there are.

    Returns:
        The folder.

    Raises:
        ConfigError: for an unknown name, or a licence that is not accepted.
        DataNotFoundError: when a corpus may not be passed on, or its address does not answer.
        DataFormatError: when a file has another digest than it had, or should have.
    """
    download = _find(name, catalogue)
    record = _read_record(folder)
    if not record.get("accepted"):
        _accept(name, download, accepted=accepted, tell=tell)
    folder.mkdir(parents=True, exist_ok=True)
    record |= {"corpus": name, "licence": download.licence, "page": download.page, "accepted": True}
    files: dict[str, Any] = record.setdefault("files", {})
    for file in download.files:
        expected = file.sha256 or files.get(file.name, {}).get("sha256")
        digest = _bring(file, folder, expected, tell)
        first = "sha256 as published by this project" if file.sha256 else "sha256 as recorded at the first download"
        if expected is None:
            first = "sha256 was not known before and is recorded now"
        tell(f"{file.name}: {digest} ({first})")
        files[file.name] = {"url": file.url, "sha256": digest, "known_before": file.sha256 is not None}
        write_json(folder / RECORD, record)
    return folder


def _find(name: str, catalogue: Mapping[str, Download]) -> Download:
    if name in catalogue:
        return catalogue[name]
    if name in BY_HAND:
        raise DataNotFoundError(f"{name} cannot be downloaded for you: {BY_HAND[name]}.")
    near = difflib.get_close_matches(name, [*catalogue, *BY_HAND], n=1)
    raise ConfigError(
        f"there is no corpus '{name}' to download.",
        hint=f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join([*catalogue, *BY_HAND])}.",
    )


def _read_record(folder: Path) -> dict[str, Any]:
    return dict(read_json(folder / RECORD)) if (folder / RECORD).is_file() else {}


def _accept(name: str, download: Download, *, accepted: bool, tell: Callable[[str], None]) -> None:
    tell(f"{name}: {download.licence}")
    tell(f"  {download.page}")
    if accepted:
        return
    if not (is_terminal() and sys.stdin.isatty()):
        raise ConfigError(
            f"the licence of {name} ({download.licence}) is not accepted.",
            hint=f"Read {download.page}, and say --accept_licence true.",
        )
    try:
        answer = input("Do you accept these terms? [y/N] ")
    except EOFError:  # Ctrl-D
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise ConfigError(f"the licence of {name} was not accepted, so nothing was downloaded.")


def _bring(file: RemoteFile, folder: Path, expected: str | None, tell: Callable[[str], None]) -> str:
    """Download one file, or keep the one there is; its digest."""
    target = folder / file.name
    unpacked = [folder / name for name in (file.members or {}).values()]
    if expected and target.is_file() and sha256_file(target) == expected and all(map(Path.is_file, unpacked)):
        return expected
    part = target.with_name(f"{target.name}.part")
    _download(file.url, part, tell)
    digest = sha256_file(part)
    if expected and digest != expected:
        part.unlink()
        raise DataFormatError(
            f"{file.url} has the sha256 {digest}, and {expected} is expected: nothing was kept of it.",
            hint="Try again; if it stays so, the file was changed or the connection is tampered with.",
        )
    if file.members:
        _unpack(part, folder, file.members)
    part.replace(target)
    return digest


def _download(url: str, part: Path, tell: Callable[[str], None]) -> None:
    """Bring the bytes of an address into a file, after those it holds already.

    Raises:
        DataNotFoundError: when the address does not answer, or breaks off again and again.
    """
    problem: Exception | None = None
    for _ in range(TRIES):
        try:
            if _one_try(url, part):
                return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.is_file():
                part.unlink()  # longer than the file that is there now: from the beginning
                continue
            problem = error
            if error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                break
        except (OSError, http.client.HTTPException) as error:
            problem = error
        tell(f"{part.name}: {part.stat().st_size if part.is_file() else 0:,} bytes so far; trying again")
    raise DataNotFoundError(
        f"{url} could not be downloaded ({problem or 'the connection broke off'}).",
        hint="Run the same command again: it goes on where it stopped.",
    )


def _one_try(url: str, part: Path) -> bool:
    """Whether all bytes have come."""
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        length = answer.headers.get("Content-Length")
        received = 0
        with part.open("ab" if resumed else "wb") as stream:
            while block := answer.read(BLOCK):
                stream.write(block)
                received += len(block)
        return length is None or received >= int(length)


def _unpack(archive: Path, folder: Path, members: Mapping[str, str]) -> None:
    """Take named files out of a tar archive, and nothing else.

    Raises:
        DataFormatError: when it is no archive, or lacks one of them.
    """
    try:
        with tarfile.open(archive) as tar:
            for inside, name in members.items():
                content = tar.extractfile(inside)
                if content is None:
                    raise KeyError(inside)
                with replacing_file(folder / name) as temporary, temporary.open("wb") as stream:
                    shutil.copyfileobj(content, stream)
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise DataFormatError(f"{archive.name.removesuffix('.part')} is not the archive expected: {error}.") from None
