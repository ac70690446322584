"""Model processes that the supervisor starts: they load while the processes of the service import what they need.

They wait at one end of a pair of sockets. The processes of the service inherit the other end, and send over it one end
of a pair of their own (SCM_RIGHTS, https://man7.org/linux/man-pages/man7/unix.7.html): a model process that has loaded
takes it, and belongs to its sender as a child would. Those that nobody can ask for any more end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import cast

from serving.worker.command import COMMAND, MODELS_AHEAD, environment
from serving.worker.wire import Load, packed, read

EXIT_POLL_S = 0.01

_held: list[object] = []
"""What lives as long as the supervisor: its end of the pair, and the processes, which BentoML reaps with its own."""


def start_ahead(load: Load, number: int) -> None:
    """Start so many model processes that all load the same, for processes that this one starts later."""
    ours, theirs = socket.socketpair()
    with theirs:
        for _ in range(number):
            process = subprocess.Popen(
                [*COMMAND, str(theirs.fileno())], stdin=subprocess.PIPE, env=environment(),
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin:  # whoever asks for it will start another
                process.stdin.write(packed(load))
            _held.append(process)
    ours.set_inheritable(True)
    _held.append(ours)
    # of the inherited socket: its descriptor, and its inode, by which it is known
    os.environ[MODELS_AHEAD] = f"{ours.fileno()}:{os.fstat(ours.fileno()).st_ino}"


class AheadProcess:
    """What `asyncio.subprocess.Process` is for a child, for a process that the supervisor has started."""

    def __init__(self, pid: int, connection: _Connection) -> None:
        self.pid = pid
        self.stdin = _Requests(connection.transport)
        self.stdout = connection.reader
        self.returncode: int | None = None
        self._connection = connection

    @classmethod
    async def take(cls, timeout_s: float) -> AheadProcess | None:
        """One that has loaded, or will within `timeout_s`; None where there is none.

        None is asked for again once one has not: as long as it hangs, it could be sent to in vain.
        """
        own = _send_for_one()
        if own is None:
            return None
        connection = _Connection()
        await asyncio.get_running_loop().create_unix_connection(lambda: connection, sock=own)
        try:
            async with asyncio.timeout(timeout_s):
                pid = await read(connection.reader)
        except (asyncio.IncompleteReadError, OSError) as problem:
            connection.transport.abort()
            if isinstance(problem, TimeoutError):
                os.environ.pop(MODELS_AHEAD, None)
            return None
        except BaseException:
            connection.transport.abort()
            raise
        return cls(pid, connection)

    async def wait(self) -> None:
        """Wait for its end."""
        await asyncio.shield(self._connection.lost)
        while (ended := _end(self.pid)) is None:
            await asyncio.sleep(EXIT_POLL_S)
        (self.returncode,) = ended

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class _Connection(asyncio.StreamReaderProtocol):
    """Closed when the other side is: a process that has ended is told by that."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        super().__init__(self.reader)
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its classes

    def eof_received(self) -> bool:
        super().eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set_result(None)


class _Requests:
    """What is sent to the process; closed, the answers can still be read, and the process ends."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.write = transport.write

    def close(self) -> None:
        if not self._transport.is_closing():
            self._transport.write_eof()


def _send_for_one() -> socket.socket | None:
    """Our end of a pair whose other end waits for a process to take it; None where none is left."""
    descriptor, _, inode = os.environ.get(MODELS_AHEAD, "").partition(":")
    if not inode:
        return None
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            if os.fstat(int(descriptor)).st_ino != int(inode):
                raise OSError("another file has taken the place of the socket")
            with socket.socket(fileno=os.dup(int(descriptor))) as inherited:
                socket.send_fds(inherited, [b"."], [theirs.fileno()], socket.MSG_DONTWAIT)
        except OSError:
            ours.close()
            return None
    return ours


def _end(pid: int) -> tuple[int | None] | None:
    """The exit code of a process that others reap, minus the number of a signal, None where it is not known.

    None in place of both while it runs. See https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html.
    """
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return (None,)
    return (os.waitstatus_to_exitcode(int(fields[-1])),) if state in "ZX" else None
