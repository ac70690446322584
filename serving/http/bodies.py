"""The body of a request: read within a limit, unpacked within the same."""

from __future__ import annotations

import zlib

from starlette.requests import Request

from shared.errors import BadRequestError, TooLargeError, UnsupportedEncodingError

MAX_DISCARDED_BYTES = 64 * 1024 * 1024
"""Read and thrown away of a body that is too large, so that the client gets to read its 413."""

_GZIP = 16 + zlib.MAX_WBITS


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The body, plain or gzip, refused while it is read.

    Raises:
        TooLargeError: when it is longer than `most_bytes`, as sent or unpacked.
        UnsupportedEncodingError: when it is packed otherwise.
        BadRequestError: when it is not the gzip it claims to be.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise UnsupportedEncodingError("the body's content-encoding is not read.", hint="Send it plain, or as gzip.")
    declared = request.headers.get("content-length", "")
    waiting_for_go = "expect" in request.headers
    too_large = TooLargeError(f"the body is larger than {most_bytes} bytes.", hint="Send fewer or shorter texts.")
    if waiting_for_go and declared.isdigit() and int(declared) > most_bytes:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= most_bytes:
            chunks.append(chunk)
        else:
            chunks.clear()
            if size > MAX_DISCARDED_BYTES:
                break
    if size > most_bytes:
        raise too_large
    body = b"".join(chunks)
    return body if encoding == "identity" else _unpack(body, most_bytes, too_large)


def _unpack(body: bytes, most_bytes: int, too_large: TooLargeError) -> bytes:
    unpacking = zlib.decompressobj(_GZIP)
    try:
        plain = unpacking.decompress(body, most_bytes + 1)
    except zlib.error:
        raise BadRequestError("the body is not valid gzip.", hint="Send it plain, or as gzip.") from None
    if len(plain) > most_bytes:
        raise too_large
    if not unpacking.eof:
        raise BadRequestError("the body is not valid gzip: its end is missing.", hint="Send it whole.")
    return plain
