"""Faults of the network on loopback: proxies that a test cuts, silences or slows while others talk through them."""

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final, Literal

from chaos.incoming import Incoming, header

Mode = Literal["open", "down", "silent"]
S3Mode = Literal[Mode, "slow", "third"]

_CHUNK: Final = 1 << 16
_RESET: Final = struct.pack("ii", 1, 0)  # as SO_LINGER: closing sends an RST, and drops what was not sent
_GENTLE: Final = struct.pack("ii", 0, 0)
_SLOW_DOWN: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


_Way = Callable[[socket.socket, socket.socket], Awaitable[None]]


class Wire:
    """A TCP proxy to `target`, on `port` of 127.0.0.1. Its mode may be switched at any time, from any thread.

    open: bytes pass. down: connections are reset, new ones at once. silent: connections stay and new ones are
    accepted, but no byte passes either way; those that lived through it are reset when it ends, and what was held
    back is never delivered.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._mode: S3Mode = "open"
        self._live: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.setblocking(False)  # noqa: FBT003 - socket's own
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"wire-{self.port}", daemon=True)
        self._thread.start()

    def set(self, mode: Mode) -> None:
        """Switch; when this returns it holds for every connection."""
        self._await(self._switch(mode))

    def close(self) -> None:
        """Reset what is open, and listen no more."""
        if self._loop.is_closed():
            return
        self._await(self._switch("down"))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _run(self) -> None:
        accepting = self._loop.create_task(self._accept())
        self._loop.run_forever()
        accepting.cancel()
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(accepting)
        self._listener.close()
        self._loop.close()

    async def _switch(self, mode: S3Mode) -> None:
        cuts = mode == "down" or (self._mode == "silent" and mode != "silent")
        self._mode = mode
        if cuts and self._live:
            for connection in self._live:
                connection.cancel()
            await asyncio.wait(self._live)

    async def _accept(self) -> None:
        while True:
            near, _ = await self._loop.sock_accept(self._listener)
            _prepare(near)
            if self._mode == "down":
                near.close()
                continue
            connection = self._loop.create_task(self._carry(near))
            self._live.add(connection)
            connection.add_done_callback(self._live.discard)
            connection.add_done_callback(partial(_close, near))  # even if it never began

    async def _carry(self, near: socket.socket) -> None:
        """One connection's life; it ends in a reset, unless both sides said their last word."""
        far = _prepare(socket.socket())
        try:
            await self._unless_silent()
            await self._loop.sock_connect(far, self._target)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(near, far, self._ask))
                both.create_task(self._pump(far, near, self._pass))
            for end in (near, far):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _GENTLE)
        except* (OSError, ValueError):  # a side is gone, or talks nonsense: the other learns by the reset
            pass
        finally:
            far.close()

    async def _pump(self, source: socket.socket, sink: socket.socket, how: _Way) -> None:
        await how(source, sink)
        await self._unless_silent()
        sink.shutdown(socket.SHUT_WR)

    async def _ask(self, near: socket.socket, far: socket.socket) -> None:
        """What the client says, to the target."""
        await self._pass(near, far)

    async def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        while data := await self._receive(source):
            await self._send(sink, data)

    async def _receive(self, source: socket.socket) -> bytes:
        """What came; empty at the end. In silence nothing comes, no end and no reset either."""
        try:
            data = await self._loop.sock_recv(source, _CHUNK)
        except OSError:
            await self._unless_silent()
            raise
        await self._unless_silent()
        return data

    async def _send(self, sink: socket.socket, data: bytes) -> None:
        """By hand, piece by piece: what asyncio had taken over it would deliver into a silence that began since."""
        while data:
            await self._unless_silent()
            try:
                data = data[sink.send(data) :]
            except BlockingIOError:
                await self._writable(sink)

    async def _writable(self, sink: socket.socket) -> None:
        ready = self._loop.create_future()
        self._loop.add_writer(sink, _resolve, ready)
        try:
            await ready
        finally:
            self._loop.remove_writer(sink)

    async def _unless_silent(self) -> None:
        """Go on, or wait for the end of the silence, which is the end of the connection too."""
        if self._mode == "silent":
            await self._loop.create_future()


class S3Wire(Wire):
    """A wire to an S3 server over HTTP/1.1. Bytes pass as they are, so signatures stay valid.

    Two more modes. slow: each request waits `delay` seconds. third: every third request is answered 503 SlowDown
    and never reaches the server.
    """

    def __init__(self, target: tuple[str, int], *, delay: float = 1.0) -> None:
        self.delay = delay
        self._asked = 0  # requests since the mode was set
        super().__init__(target)

    def set(self, mode: S3Mode) -> None:
        """Switch; when this returns it holds for every connection and every request that begins."""
        self._await(self._switch(mode))

    async def _switch(self, mode: S3Mode) -> None:
        self._asked = 0
        await super()._switch(mode)

    async def _ask(self, near: socket.socket, far: socket.socket) -> None:
        """Request by request. A client that is refused is told to connect anew."""
        incoming = Incoming(lambda: self._receive(near))
        while head := await incoming.head():
            self._asked += 1
            if self._mode == "third" and self._asked % 3 == 0:
                return await self._refuse(near, head, incoming)
            if self._mode == "slow":
                await asyncio.sleep(self.delay)
            await self._send(far, head)
            async for piece in incoming.body(head):
                await self._send(far, piece)
        return None

    async def _refuse(self, near: socket.socket, head: bytes, incoming: Incoming) -> None:
        if not header(head, b"expect"):  # else the client waits for leave to send its body
            async for _ in incoming.body(head):
                pass
        said = f"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: {len(_SLOW_DOWN)}\r\n"
        body = b"" if head.startswith(b"HEAD ") else _SLOW_DOWN
        await self._send(near, said.encode() + b"Connection: close\r\n\r\n" + body)


def _prepare(end: socket.socket) -> socket.socket:
    end.setblocking(False)  # noqa: FBT003 - socket's own
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    return end


def _close(end: socket.socket, _: object) -> None:
    end.close()


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
