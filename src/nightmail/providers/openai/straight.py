"""Requests straight over `httpcore2`, on which the ordinary client stands: connections that carry one
exchange at a time and are used again.

They have the very headers that the client sends, made once and not for each request. What the client
does besides sending and receiving (a proxy, a user in the URL, a redirect) is left to it: there is no route
then, or an answer that is one of `REDIRECTS`.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import getproxies

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    import httpcore2
    import httpx2

REDIRECTS = (301, 302, 303, 307, 308)
# Said anew for each body.
_ABOUT_THE_BODY = (b"content-length", b"transfer-encoding")


class Route(NamedTuple):
    """What is the same in all requests to a URL."""

    method: bytes
    url: httpcore2.URL
    headers: list[tuple[bytes, bytes]]
    extensions: MutableMapping[str, Any]  # the timeouts


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
        self._idle = idle
        self._network = _sockets(read_bytes)
        self._free: list[httpcore2.AsyncHTTPConnection] = []  # the one used last at the end
        self._in_use: set[httpcore2.AsyncHTTPConnection] = set()
        self._closed = False

    def route(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> Route | None:
        """How to reach `url` without the client; None if that is not for us."""
        import httpcore2

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
            request.extensions,
        )

    @asynccontextmanager
    async def exchange(self, route: Route, body: bytes | None = None) -> AsyncIterator[httpcore2.Response]:
        """The answer, to be read inside. What goes wrong, there too, is told as `httpx2.HTTPError`, as
        by the client, but TLS that breaks after its beginning: that is `ssl.SSLError`, with it too. A
        connection whose answer was not read to its end is not used again."""
        import httpcore2

        headers = route.headers
        if body is not None:
            headers = [*headers, (b"Content-Length", b"%d" % len(body))]
        request = httpcore2.Request(
            route.method, route.url, headers=headers, content=body, extensions=route.extensions
        )
        with _as_of_client():
            connection = await self._taken(route)
            self._in_use.add(connection)
            try:
                response = await connection.handle_async_request(request)
                try:
                    yield response
                finally:
                    await response.aclose()
            finally:
                self._in_use.discard(connection)
                if connection.is_idle() and not self._closed:
                    self._free.append(connection)
                elif not connection.is_closed():
                    await connection.aclose()

    async def close(self) -> None:
        """End every connection, also under exchanges that are on their way."""
        self._closed = True
        connections = [*self._free, *self._in_use]
        self._free.clear()
        for connection in connections:
            await connection.aclose()

    async def _taken(self, route: Route) -> httpcore2.AsyncHTTPConnection:
        """One that is free and still open, or a new one, which connects when it is used."""
        import httpcore2

        while self._free:
            connection = self._free.pop()
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return httpcore2.AsyncHTTPConnection(
            route.url.origin,
            ssl_context=self._tls,
            keepalive_expiry=self._idle,
            network_backend=self._network,
        )


def _sockets(read_bytes: int) -> httpcore2.AsyncNetworkBackend | None:
    """None is what the client uses: a socket cannot be taken over on Windows, see `Sockets`."""
    if sys.platform == "win32":
        return None
    from nightmail.providers.openai.sockets import Sockets

    return Sockets(read_bytes)


@contextmanager
def _as_of_client() -> Iterator[None]:
    """Errors as the client would have told them; both call them by the same names."""
    import httpcore2
    import httpx2

    try:
        yield
    except (
        httpcore2.TimeoutException,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.UnsupportedProtocol,
    ) as error:
        kind: type[httpx2.TransportError] = getattr(httpx2, type(error).__name__, httpx2.TransportError)
        raise kind(str(error)) from error
