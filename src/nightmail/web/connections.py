"""What a connection may do that no route sees: how many there are, how long and how large a request's head
is, how long an answer may wait to be read.

A server that waits for as long as it takes can be filled with connections that send or read a byte a minute.
Bodies are the guard's (`nightmail.web.guard`), since what is too much depends on the route.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nightmail.web.problems import Problem, answer
from nightmail.web.settings import Settings

# Seconds until a client that was turned away at the door may come back.
RETRY = "1"


def bounded(settings: Settings) -> type[asyncio.Protocol]:
    """The protocol of a server's connections, within the settings."""
    return type("Connection", (_Connection,), {"settings": settings})


class _Connection(HttpToolsProtocol):
    """uvicorn's connection, with a time and a size for the head of each request."""

    settings: Settings

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head = 0  # bytes of the head that is being read
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.settings.max_connections:
            self._refuse(
                Problem(503, "connections", "too many connections; come back", headers={"Retry-After": RETRY})
            )
            return
        # One that never says anything is not waited for either.
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_in()
        self._is_read()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.settings.read_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        self._is_read()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        # Closed by now, if that was no HTTP.
        if self._refused or self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            # The middle of a head, or the rest of a body that nobody wanted.
            self._await_head()
            self._head += len(data)
            self._measure()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._head += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head += len(name) + len(value)

    def on_headers_complete(self) -> None:
        self._head_is_in()
        if not self._measure():
            self._head = 0
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._refused:
            super().on_message_complete()

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _await_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.settings.head_timeout, self._too_late)

    def _head_is_in(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        if self._head:
            self._refuse(Problem(408, "too-slow", "the request's head came too slowly"))
        else:
            self.transport.close()

    def _measure(self) -> bool:
        """Is it too large? Then it is refused."""
        most = self.settings.max_head
        if self._head > most:
            self._refuse(Problem(431, "too-large", f"a request's head may have {most:,} bytes here"))
        return self._refused

    def _refuse(self, problem: Problem) -> None:
        """Say why and close; what is still under way is not read."""
        self._refused = True
        said = answer(problem)
        reason = HTTPStatus(said.status_code).phrase.encode()
        head = [
            b"HTTP/1.1 %d %s" % (said.status_code, reason),
            *(b"%s: %s" % each for each in said.raw_headers),
        ]
        self.transport.write(b"\r\n".join([*head, b"connection: close", b"", bytes(said.body)]))
        self.transport.close()
