"""A reader for the HTTP/1.1 requests on one connection: just enough of the protocol to separate them."""

from collections.abc import AsyncIterator, Awaitable, Callable


class RequestReader:
    """Reads heads and bodies without changing a byte. Raises ConnectionError for an incomplete request."""

    def __init__(self, receive: Callable[[], Awaitable[bytes]]) -> None:
        self._receive, self._buffer = receive, b""

    async def head(self) -> bytes:
        """Return a request's first line and headers; empty at the end of the connection."""
        self._buffer = self._buffer or await self._receive()
        return await self._until(b"\r\n\r\n") if self._buffer else b""

    async def body(self, head: bytes) -> AsyncIterator[bytes]:
        """Yield the pieces of the body after `head`."""
        if b"chunked" not in header(head, b"transfer-encoding").lower():
            async for piece in self._exactly(int(header(head, b"content-length") or 0)):
                yield piece
            return
        size = -1
        while size:
            yield (line := await self._until(b"\r\n"))
            size = int(line.partition(b";")[0], 16)
            async for piece in self._exactly(size + 2 if size else 0):
                yield piece
        while line != b"\r\n":  # trailers and the empty line after them
            yield (line := await self._until(b"\r\n"))

    async def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            self._buffer += await self._more()
        data, _, self._buffer = self._buffer.partition(end)
        return data + end

    async def _exactly(self, size: int) -> AsyncIterator[bytes]:
        while size:
            self._buffer = self._buffer or await self._more()
            piece, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(piece)
            yield piece

    async def _more(self) -> bytes:
        if data := await self._receive():
            return data
        raise ConnectionResetError("The client closed the connection in the middle of a request.")


def header(head: bytes, name: bytes) -> bytes:
    """Return the value of a header, empty without one; `name` is in lower case."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""
