"""What the two sides say to each other: pickled messages behind their length, over the process's pipes."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.cuda_options import CudaOptions
from shared.bundle import Fingerprint, fingerprint
from shared.files import FileState, known_digests
from shared.tokenizer import Encoded

if TYPE_CHECKING:
    from asyncio import StreamReader

    from serving.settings import Settings

HEAD = struct.Struct("<I")
"""Length of a message in bytes."""

LOAD_TIMEOUT_S = 300.0
"""Time to read a model and warm it up, where it is not known how long that takes."""


class Tokens(NamedTuple):
    """One text as token ids, int32 in bytes: they cross the pipe twice and are read on one side alone.

    Attributes:
        ids: of the text, or of its first window.
        num_tokens: of the whole text, special tokens included.
        truncated: whether its middle was left out.
        more: ids of its other windows, where all of a long text is read.
        coverage: share of its tokens that the vocabulary knows.
        warnings: codes of what makes the answer doubtful, see `serving.text_checks`.
    """

    ids: bytes
    num_tokens: int
    truncated: bool
    more: tuple[bytes, ...] = ()
    coverage: float = 1.0
    warnings: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        """Tokens kept."""
        return len(self.ids) // 4

    @classmethod
    def of(cls, first: Encoded, *others: Encoded, coverage: float = 1.0, warnings: tuple[str, ...] = ()) -> Tokens:
        """The tokens of a text, in one window or several."""
        more = tuple(window.ids.tobytes() for window in others)
        return cls(first.ids.tobytes(), first.num_tokens, first.truncated, more, coverage, warnings)


def token_ids(rows: Sequence[bytes]) -> list[NDArray[np.int32]]:
    """Token ids of N texts, each of shape (T,)."""
    return [np.frombuffer(row, np.int32) for row in rows]


@dataclass(frozen=True)
class Load:
    """First message to the process: which model to load; the arguments of `Predictor.load`."""

    path: Path
    precision: str | None = None
    provider: str | None = None
    threads: int | None = None
    cuda: CudaOptions | None = None
    seal: str | None = None
    """Of the bundle that whoever asks has read there: a model that was loaded before it took that place is another."""
    verified: Fingerprint | None = None
    """Of the bundle and its verification at that moment: the same bundle may be exported again."""
    digests: Mapping[FileState, str] = field(default_factory=known_digests, compare=False)
    """Of files that whoever asks has read: they need not be read again while they have not changed."""

    @classmethod
    def by(cls, settings: Settings, path: Path, seal: str) -> Load:
        """What the settings of the service say of a bundle at `path`, which has that seal."""
        return cls(
            path, settings.precision, settings.provider, settings.threads_per_run, settings.cuda, seal,
            fingerprint(path),
        )  # fmt: skip


@dataclass(frozen=True)
class Encode:
    """Tokenise N texts; answered with N `Tokens`. Those that `whole` marks are read in windows, the others cut."""

    texts: Sequence[str]
    whole: Sequence[bool]


@dataclass(frozen=True)
class Run:
    """Run one batch of N texts, their token ids as in `Tokens`; answered with probabilities of shape (N, L)."""

    rows: Sequence[bytes]


@dataclass(frozen=True)
class Ping:
    """Answered at once, with None: whether the process still answers."""


@dataclass(frozen=True)
class Loaded:
    """Answer to `Load`: what the process has loaded and warmed up."""

    seal: str
    precision: str
    provider: str
    slowest_s: float
    """Time of the longest text there can be, alone, once warm."""
    lengths: NDArray[np.int32]
    """Of the reference rows that drift is measured against, in tokens."""
    loading_s: float
    """Time it took."""


@dataclass(frozen=True)
class Failed:
    """Answer to anything: what went wrong, which may be one that the user can fix."""

    error: Exception


def packed(message: Any) -> bytes:
    """`message` with its length before it."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return HEAD.pack(len(body)) + body


async def read(stream: StreamReader) -> Any:
    """The next message of a process that this one trusts.

    Raises:
        IncompleteReadError: when the process has ended.
    """
    (size,) = HEAD.unpack(await stream.readexactly(HEAD.size))
    return pickle.loads(await stream.readexactly(size))
