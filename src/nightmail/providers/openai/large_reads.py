"""Sockets that are read half a megabyte at a time; otherwise as those of `httpcore2`.

Its own give 64 KB of a plain connection at a time and 16 KB of one with TLS, and each piece, whatever its
size, goes through every layer up to the file. A gigabyte costs 0.9 s of CPU so instead of 1.7 s, with TLS
1.3 s instead of 2.8 s, the writing of it included. Each connection has its half megabyte as long as it is
open: meant for few.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import Any, cast

import httpcore2

READ_BYTES = 1 << 19  # twice as much gains nothing


class LargeReads(httpcore2.AsyncNetworkBackend):
    """Works on any event loop that can watch a socket of somebody else's making (Windows' own cannot)."""

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
            transport, arrivals = await asyncio.get_running_loop().create_connection(_Arrivals, sock=own)
        except BaseException:
            own.close()
            raise
        return _Stream(transport, arrivals)


class _Stream(httpcore2.AsyncNetworkStream):
    def __init__(self, transport: asyncio.Transport, arrivals: _Arrivals) -> None:
        self._transport = transport
        self._arrivals = arrivals

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """All there is, which may be more than `max_bytes`: who reads HTTP has room for it, and to give
        less is what costs."""
        try:
            async with asyncio.timeout(timeout):
                return await self._arrivals.take()
        except TimeoutError as error:
            raise httpcore2.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # A request's head: what the socket does not take at once, the transport sends by and by.
        if self._transport.is_closing():
            raise httpcore2.WriteError("the connection is closed")
        self._transport.write(buffer)

    async def aclose(self) -> None:
        self._arrivals.end(ConnectionAbortedError("the connection was closed on this side"))
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
                    self._transport, self._arrivals, ssl_context, server_hostname=server_hostname
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
        self._arrivals.transport = transport
        return _Stream(transport, self._arrivals)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._arrivals.waiting
        return self._transport.get_extra_info(info)


class _Arrivals(asyncio.BufferedProtocol):
    """What came and was not taken yet. Nothing is lost by being late: a full room stops the reading."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._room = memoryview(bytearray(READ_BYTES))
        self._filled = 0
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
            if self._filled == READ_BYTES and not self.transport.is_closing():
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
        if self._filled == READ_BYTES:
            self.transport.pause_reading()
        self._tell()

    def eof_received(self) -> None:
        self.end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(exc)

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
