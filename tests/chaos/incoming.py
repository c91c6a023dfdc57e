"""HTTP requests as they come in over one connection: as much of the protocol as it takes to tell them apart."""

from collections.abc import AsyncIterator, Awaitable, Callable


class Incoming:
    """The requests on one connection, heads and bodies as they were sent. Raises ConnectionError for a cut one."""

    def __init__(self, receive: Callable[[], Awaitable[bytes]]) -> None:
        self._receive, self._ahead = receive, b""

    async def head(self) -> bytes:
        """A request's first line and headers; empty where the client has said its last word."""
        self._ahead = self._ahead or await self._receive()
        return await self._until(b"\r\n\r\n") if self._ahead else b""

    async def body(self, head: bytes) -> AsyncIterator[bytes]:
        """The pieces of the body that follows `head`."""
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
        while line != b"\r\n":  # trailers, and the empty line behind them
            yield (line := await self._until(b"\r\n"))

    async def _until(self, end: bytes) -> bytes:
        while end not in self._ahead:
            self._ahead += await self._more()
        found, _, self._ahead = self._ahead.partition(end)
        return found + end

    async def _exactly(self, size: int) -> AsyncIterator[bytes]:
        while size:
            self._ahead = self._ahead or await self._more()
            piece, self._ahead = self._ahead[:size], self._ahead[size:]
            size -= len(piece)
            yield piece

    async def _more(self) -> bytes:
        if data := await self._receive():
            return data
        raise ConnectionResetError("The client hung up in the middle of a request.")


def header(head: bytes, name: bytes) -> bytes:
    """The value of a request's header, empty where it has none; `name` in lower case."""
    for line in head.split(b"\r\n")[1:]:
        found, _, value = line.partition(b":")
        if found.strip().lower() == name:
            return value.strip()
    return b""
