"""Requests without the ordinary client: connections that carry one exchange at a time and are used again.

They have the very headers that the client sends, made once and not for each request. What the client
does besides sending and receiving (a proxy, a user in the URL, a redirect) is left to it: there is no route
then, or an answer that is one of `REDIRECTS`.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple
from urllib.request import getproxies

import h11
import httpcore2
import httpx2

from nightmail.providers.openai.http11 import Answer, Connection, Header, Request
from nightmail.providers.openai.sockets import Sockets

REDIRECTS = (301, 302, 303, 307, 308)
# Said anew for each body.
_ABOUT_THE_BODY = (b"content-length", b"transfer-encoding")


class Route(NamedTuple):
    """What is the same in all requests to a URL."""

    method: bytes
    url: httpcore2.URL
    headers: list[Header]
    timeouts: Mapping[str, float | None]  # in seconds, by what is waited for


class Straight:
    """Sends what `client` would, all of it to one server, on connections that end after `idle` seconds
    without a request and read up to `read_bytes` at a time."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        tls: ssl.SSLContext,
        *,
        idle: float,
        read_bytes: int,
    ) -> None:
        self._client = client
        self._tls = tls
        tls.set_alpn_protocols(["http/1.1"])  # as the client does
        self._idle = idle
        # A socket cannot be taken over on Windows, see `Sockets`; there it is the client's.
        windows = sys.platform == "win32"
        self._network = httpcore2.AnyIOBackend() if windows else Sockets(read_bytes)
        self._free: list[Connection] = []  # the one used last at the end
        self._in_use: set[Connection] = set()
        self._closed = False

    def route(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> Route | None:
        """How to reach `url` without the client; None if that is not for us."""
        request = self._client.build_request(method, url, headers=headers)
        where = request.url
        proxied = self._client.trust_env and bool(getproxies())
        if proxied or where.userinfo or where.scheme not in ("http", "https"):
            return None
        return Route(
            method.encode(),
            httpcore2.URL(
                scheme=where.raw_scheme, host=where.raw_host, port=where.port, target=where.raw_path
            ),
            [(name, value) for name, value in request.headers.raw if name.lower() not in _ABOUT_THE_BODY],
            request.extensions["timeout"],
        )

    @asynccontextmanager
    async def exchange(self, route: Route, body: bytes | None = None) -> AsyncIterator[Answer]:
        """The answer, to be read inside. What goes wrong, there too, is told as `httpx2.HTTPError`, as
        by the client, but TLS that breaks after its beginning: that is `ssl.SSLError`, with it too. A
        connection whose answer was not read to its end is not used again."""
        headers, timeouts = route.headers, route.timeouts
        if body is not None:
            headers = [*headers, (b"Content-Length", b"%d" % len(body))]
        with _as_of_client():
            connection = await self._taken(route)
            self._in_use.add(connection)
            try:
                yield await connection.ask(Request(route.method, route.url.target, headers, body, timeouts))
            finally:
                self._in_use.discard(connection)
                if not self._closed and connection.renew(self._idle):
                    self._free.append(connection)
                else:
                    await connection.close()

    async def close(self) -> None:
        """End every connection, also under exchanges that are on their way."""
        self._closed = True
        connections = [*self._free, *self._in_use]
        self._free.clear()
        for connection in connections:
            await connection.close()

    async def _taken(self, route: Route) -> Connection:
        """One that is free and still open, or a new one."""
        while self._free:
            connection = self._free.pop()
            if connection.is_open():
                return connection
            await connection.close()
        origin, timeout = route.url.origin, route.timeouts.get("connect")
        host = origin.host.decode("ascii")
        stream = await self._network.connect_tcp(host, origin.port, timeout=timeout)
        if origin.scheme == b"https":
            stream = await stream.start_tls(self._tls, server_hostname=host, timeout=timeout)
        return Connection(stream)


@contextmanager
def _as_of_client() -> Iterator[None]:
    """Errors as the client would have told them; all call them by the same names."""
    try:
        yield
    except (httpcore2.TimeoutException, httpcore2.NetworkError, h11.ProtocolError) as error:
        kind: type[httpx2.TransportError] = getattr(httpx2, type(error).__name__, httpx2.TransportError)
        raise kind(str(error)) from error
