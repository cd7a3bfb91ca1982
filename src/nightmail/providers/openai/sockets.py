"""Sockets for `httpcore2` with nothing between them and the event loop.

Its own pass every piece through a library that works on several kinds of event loops. They give 64 KB of a
plain connection at a time and 16 KB of one with TLS: a gigabyte costs 1.7 s of CPU so, with TLS 2.8 s, and
0.9 s and 1.3 s if it is read half a megabyte at a time, the writing of it included. A small call costs nearly
twice the CPU over them (0.8 ms instead of 0.45 on a slow machine).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import Any, cast

import httpcore2


class Sockets(httpcore2.AsyncNetworkBackend):
    """Up to `read_bytes` are read at a time; each connection has room for them as long as it is open. Works
    on any event loop that can watch a socket of somebody else's making (Windows' own cannot)."""

    def __init__(self, read_bytes: int) -> None:
        self._read_bytes = read_bytes

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        # It tries several addresses at once, so that a dead one of a server delays nothing; event loops
        # differ in whether they do. Of its connection the socket is kept.
        connecting = await httpcore2.AnyIOBackend().connect_tcp(
            host, port, timeout=timeout, local_address=local_address, socket_options=socket_options
        )
        try:
            connected = connecting.get_extra_info("socket")
            own = socket.fromfd(connected.fileno(), connected.family, connected.type)
        finally:
            await connecting.aclose()
        try:
            transport, traffic = await asyncio.get_running_loop().create_connection(
                lambda: _Traffic(self._read_bytes), sock=own
            )
        except BaseException:
            own.close()
            raise
        return _Stream(transport, traffic, own)


class _Stream(httpcore2.AsyncNetworkStream):
    def __init__(self, transport: asyncio.Transport, traffic: _Traffic, below: socket.socket) -> None:
        self._transport = transport
        self._traffic = traffic
        self._below = below

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """All there is, which may be more than `max_bytes`: who reads HTTP has room for it, and to give
        less is what costs."""
        try:
            async with asyncio.timeout(timeout):
                return await self._traffic.take()
        except TimeoutError as error:
            raise httpcore2.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._transport.is_closing():
            raise httpcore2.WriteError("the connection is closed")
        self._transport.write(buffer)
        if self._traffic.has_gone.is_set():
            return
        try:
            async with asyncio.timeout(timeout):
                await self._traffic.has_gone.wait()
        except TimeoutError as error:
            raise httpcore2.WriteTimeout(str(error)) from error

    async def aclose(self) -> None:
        self._traffic.end(ConnectionAbortedError("the connection was closed on this side"))
        # One that is gone cannot always be aborted (asyncio of Python 3.11, where the last bytes went after
        # the other side's end).
        if not self._traffic.is_lost:
            self._transport.abort()
        # The transport lets go of its socket at the loop's next turn.
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turn.set_result, None)
        await turn

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                secured = await asyncio.get_running_loop().start_tls(
                    self._transport, self._traffic, ssl_context, server_hostname=server_hostname
                )
        except BaseException as error:
            await self.aclose()
            if isinstance(error, TimeoutError):
                raise httpcore2.ConnectTimeout(str(error)) from error
            if isinstance(error, OSError):
                raise httpcore2.ConnectError(str(error)) from error
            raise
        # Only None for a transport that was closed meanwhile, which then ends the first read.
        transport = cast(asyncio.Transport, secured)
        self._traffic.transport = transport
        return _Stream(transport, self._traffic, self._below)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # The server may have hung up just now, of which the event loop knows in its next turn.
            return self._traffic.waiting or _has_news(self._below)
        return self._transport.get_extra_info(info)


def _has_news(below: socket.socket) -> bool:
    try:
        below.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


class _Traffic(asyncio.BufferedProtocol):
    """What came and was not taken yet, and whether what is to go has gone. Nothing is lost by being late: a
    full room stops the reading."""

    transport: asyncio.Transport

    def __init__(self, room: int) -> None:
        self._room = memoryview(bytearray(room))
        self._filled = 0
        # The other side has taken most of what was written, or will take nothing any more.
        self.has_gone = asyncio.Event()
        self.has_gone.set()
        self.is_lost = False  # the transport has let go of its socket
        self._ended = False
        self._broken: Exception | None = None
        self._news: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> bool:
        """Whether `take` would give something at once; the end is something."""
        return self._filled > 0 or self._ended

    async def take(self) -> bytes:
        """What has come, as soon as there is something; b"" at the end. Raises `OSError` if that is not
        the other side's."""
        if not self.waiting:
            self._news = asyncio.get_running_loop().create_future()
            try:
                await self._news
            finally:
                self._news = None
        if self._filled:
            taken = bytes(self._room[: self._filled])
            if self._filled == len(self._room) and not self.transport.is_closing():
                self.transport.resume_reading()
            self._filled = 0
            return taken
        if self._broken is not None:
            raise self._broken
        return b""

    def end(self, broken: Exception | None) -> None:
        """Nothing comes any more; what has come can still be taken."""
        if not self._ended:
            self._ended, self._broken = True, broken
            self._tell()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        if self._filled == len(self._room):
            self.transport.pause_reading()
        self._tell()

    def eof_received(self) -> None:
        self.end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self.has_gone.set()
        self.end(exc)

    def pause_writing(self) -> None:
        self.has_gone.clear()

    def resume_writing(self) -> None:
        self.has_gone.set()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
