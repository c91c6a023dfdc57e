"""Network faults on loopback: TCP proxies that reset, silence or slow down connections."""

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final, Literal

from chaos.stack.http_reader import RequestReader, header

Mode = Literal["open", "down", "silent"]
S3Mode = Literal[Mode, "slow", "refuse_third"]

_CHUNK: Final = 1 << 16
_RESET: Final = struct.pack("ii", 1, 0)  # as SO_LINGER: closing sends an RST, and drops what was not sent
_NO_RESET: Final = struct.pack("ii", 0, 0)
_SLOW_DOWN: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


_Forward = Callable[[socket.socket, socket.socket], Awaitable[None]]


class Proxy:
    """A TCP proxy to `target`, on `port` of 127.0.0.1. Its mode can be changed at any time, from any thread.

    - open: forwards bytes.
    - down: resets all connections, new ones immediately.
    - silent: keeps connections and accepts new ones, but forwards nothing in either direction. Connections are reset
      when it ends, and bytes from that time are never delivered.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._mode: S3Mode = "open"
        self._live: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.setblocking(False)  # noqa: FBT003 - socket's own
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()

    def set(self, mode: Mode) -> None:
        """Change the mode; on return it applies to every connection."""
        self._await(self._switch(mode))

    def close(self) -> None:
        """Reset all connections and stop listening."""
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
            connection.add_done_callback(partial(_close, near))  # even if the task never began

    async def _carry(self, near: socket.socket) -> None:
        """Forward one connection; it ends with a reset unless both sides closed it."""
        far = _prepare(socket.socket())
        try:
            await self._unless_silent()
            await self._loop.sock_connect(far, self._target)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(near, far, self._forward_requests))
                both.create_task(self._pump(far, near, self._forward))
            for end in (near, far):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_RESET)
        except* (OSError, ValueError):  # one side is gone or sent no HTTP: the other one gets a reset
            pass
        finally:
            far.close()

    async def _pump(self, source: socket.socket, sink: socket.socket, forward: _Forward) -> None:
        await forward(source, sink)
        await self._unless_silent()
        sink.shutdown(socket.SHUT_WR)

    async def _forward_requests(self, near: socket.socket, far: socket.socket) -> None:
        """Forward the client's bytes to the target."""
        await self._forward(near, far)

    async def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        while data := await self._receive(source):
            await self._send(sink, data)

    async def _receive(self, source: socket.socket) -> bytes:
        """Return the next bytes, empty at the end. While silent, neither bytes nor an end nor a reset arrives."""
        try:
            data = await self._loop.sock_recv(source, _CHUNK)
        except OSError:
            await self._unless_silent()
            raise
        await self._unless_silent()
        return data

    async def _send(self, sink: socket.socket, data: bytes) -> None:
        """Send piece by piece: asyncio would also deliver its buffered bytes after the proxy became silent."""
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
        """Return if the proxy is not silent; else wait for the end of the silence, which also ends the connection."""
        if self._mode == "silent":
            await self._loop.create_future()


class S3Proxy(Proxy):
    """A proxy for an S3 server over HTTP/1.1. It forwards bytes unchanged, so signatures stay valid.

    - slow: delays each request by `delay` seconds.
    - refuse_third: rejects every third request with 503 SlowDown and does not forward it.
    """

    def __init__(self, target: tuple[str, int], *, delay: float = 1.0) -> None:
        self.delay = delay
        self._requests = 0  # since the mode was set
        super().__init__(target)

    def set(self, mode: S3Mode) -> None:
        """Change the mode; on return it applies to every connection and every new request."""
        self._await(self._switch(mode))

    async def _switch(self, mode: S3Mode) -> None:
        self._requests = 0
        await super()._switch(mode)

    async def _forward_requests(self, near: socket.socket, far: socket.socket) -> None:
        """Forward one request after the other. A refused client has to reconnect."""
        reader = RequestReader(lambda: self._receive(near))
        while head := await reader.head():
            self._requests += 1
            if self._mode == "refuse_third" and self._requests % 3 == 0:
                return await self._refuse(near, head, reader)
            if self._mode == "slow":
                await asyncio.sleep(self.delay)
            await self._send(far, head)
            async for piece in reader.body(head):
                await self._send(far, piece)
        return None

    async def _refuse(self, near: socket.socket, head: bytes, reader: RequestReader) -> None:
        if not header(head, b"expect"):  # else the client waits for 100 Continue before it sends the body
            async for _ in reader.body(head):
                pass
        head_lines = f"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: {len(_SLOW_DOWN)}\r\n"
        body = b"" if head.startswith(b"HEAD ") else _SLOW_DOWN
        await self._send(near, head_lines.encode() + b"Connection: close\r\n\r\n" + body)


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
