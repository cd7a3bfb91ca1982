"""One connection to a server, and the exchanges on it, one after the other: HTTP/1.1 as `h11` speaks it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import NamedTuple

import h11
import httpcore2

# Of an answer's head; more is no HTTP. As much as `httpcore2` takes.
HEAD_BYTES = 100 * 1024

Header = tuple[bytes, bytes]


class Request(NamedTuple):
    """`headers` are complete; `timeouts` are in seconds, by `write` and `read`, each for one wait."""

    method: bytes
    target: bytes
    headers: list[Header]
    body: bytes | None
    timeouts: Mapping[str, float | None]


class Answer:
    """Its head; the body is read once, by `pieces` or by `read`."""

    def __init__(self, connection: Connection, head: h11.Response, timeout: float | None) -> None:
        self.status: int = head.status_code
        self.headers: list[Header] = head.headers.raw_items()
        self._connection = connection
        self._timeout = timeout

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes, still packed."""
        while type(event := await self._connection.next_event(self._timeout)) is h11.Data:
            yield bytes(event.data)

    async def read(self) -> bytes:
        """The whole body, still packed."""
        return b"".join([piece async for piece in self.pieces()])


class Connection:
    """Over `stream`, which is connected. What goes wrong is raised as `httpcore2` names it, or as
    `h11.RemoteProtocolError` and `h11.LocalProtocolError`."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._http = h11.Connection(our_role=h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        self._free_until = 0.0

    async def ask(self, request: Request) -> Answer:
        """Send a request; returns when the head of the answer is there."""
        # A server may refuse before it has read everything, and end the connection: it is heard.
        with suppress(httpcore2.WriteError):
            await self._stream.write(self._written(request), request.timeouts.get("write"))
        timeout = request.timeouts.get("read")
        while type(event := await self.next_event(timeout)) is h11.InformationalResponse:
            continue
        if type(event) is not h11.Response:
            raise h11.RemoteProtocolError("the answer has no head")
        return Answer(self, event, timeout)

    def _written(self, request: Request) -> bytes:
        send = self._http.send
        head = h11.Request(method=request.method, target=request.target, headers=request.headers)
        body = [] if request.body is None else [h11.Data(data=request.body)]
        return b"".join(send(event) or b"" for event in (head, *body, h11.EndOfMessage()))

    async def next_event(self, timeout: float | None) -> object:
        """What comes next of the answer."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self._stream.read(1 << 16, timeout)
            if not data and self._http.their_state is h11.SEND_RESPONSE:
                raise h11.RemoteProtocolError("Server disconnected without sending a response.")
            self._http.receive_data(data)
        return event

    def renew(self, idle: float) -> bool:
        """Be ready for another exchange within `idle` seconds. False if this one is not over, or if more
        came than was asked for, which would be taken for the next answer."""
        http = self._http
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE or http.trailing_data[0]:
            return False
        http.start_next_cycle()
        self._free_until = time.monotonic() + idle
        return True

    def is_open(self) -> bool:
        """May the next exchange begin? What is readable between two is the server's end."""
        return time.monotonic() <= self._free_until and not self._stream.get_extra_info("is_readable")

    async def close(self) -> None:
        await self._stream.aclose()
