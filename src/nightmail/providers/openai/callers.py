"""Synchronous requests by the thousand: connections that carry one call at a time and are used again.

They go over `httpcore2`, on which the ordinary client stands, with the very headers that the client would
send: made once, not for each call. A call costs 0.35 ms of CPU so, 0.9 ms through the client. Where the
client does more than to send and to receive (a proxy, a user in the URL, a redirect) it makes the call.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import getproxies

from nightmail.providers.openai.failures import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    import httpcore2
    import httpx2

_REDIRECTS = (301, 302, 303, 307, 308)
# Said anew for each body.
_ABOUT_THE_BODY = (b"content-length", b"transfer-encoding")


class Callers:
    """Makes calls as `client` with `headers` would, on connections that end after `idle` seconds without a
    call. The client stays its owner's, to be closed after `close`."""

    def __init__(
        self, client: httpx2.AsyncClient, headers: Mapping[str, str], tls: ssl.SSLContext, *, idle: float
    ) -> None:
        self._client = client
        self._headers = headers
        self._tls = tls
        self._idle = idle
        self._free: list[httpcore2.AsyncHTTPConnection] = []  # the one used last at the end
        self._in_use: set[httpcore2.AsyncHTTPConnection] = set()
        self._routes: dict[str, _Route | None] = {}

    async def post(self, url: str, body: bytes) -> Reply:
        """The answer to `body`, which is JSON; all calls are to one server. Raises `httpx2.HTTPError` if
        there is none."""
        if url not in self._routes:
            self._routes[url] = self._route(url)
        route = self._routes[url]
        if route is None:
            return await self._by_client(url, body)
        reply = await self._straight(route, body)
        # Nothing was answered, nothing is paid: sent again, to where it belongs.
        return await self._by_client(url, body) if reply.status in _REDIRECTS else reply

    async def close(self) -> None:
        """End every connection, also under calls that are on their way."""
        connections = [*self._free, *self._in_use]
        self._free.clear()
        for connection in connections:
            await connection.aclose()

    def _route(self, url: str) -> _Route | None:
        """How to reach `url` without the client; None if that is not for us."""
        import httpcore2

        request = self._client.build_request("POST", url, headers=self._headers)
        where = request.url
        proxied = self._client.trust_env and bool(getproxies())
        if proxied or where.userinfo or where.scheme not in ("http", "https"):
            return None
        return _Route(
            httpcore2.URL(
                scheme=where.raw_scheme, host=where.raw_host, port=where.port, target=where.raw_path
            ),
            [(name, value) for name, value in request.headers.raw if name.lower() not in _ABOUT_THE_BODY],
            request.extensions,
        )

    async def _straight(self, route: _Route, body: bytes) -> Reply:
        import httpcore2

        request = httpcore2.Request(
            b"POST",
            route.url,
            headers=[*route.headers, (b"Content-Length", b"%d" % len(body))],
            content=body,
            extensions=route.extensions,
        )
        with _as_of_client():
            connection = await self._taken(route)
            self._in_use.add(connection)
            try:
                response = await connection.handle_async_request(request)
                try:
                    content = await response.aread()
                finally:
                    await response.aclose()
            finally:
                self._in_use.discard(connection)
                if connection.is_idle():
                    self._free.append(connection)
                elif not connection.is_closed():
                    await connection.aclose()
        return _reply(response.status, response.headers, content)

    async def _taken(self, route: _Route) -> httpcore2.AsyncHTTPConnection:
        """One that is free and still open, or a new one, which connects when it is used."""
        import httpcore2

        while self._free:
            connection = self._free.pop()
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return httpcore2.AsyncHTTPConnection(
            route.url.origin, ssl_context=self._tls, keepalive_expiry=self._idle
        )

    async def _by_client(self, url: str, body: bytes) -> Reply:
        response = await self._client.post(url, content=body, headers=self._headers)
        return Reply(response.status_code, response.headers, response.content)


class _Route(NamedTuple):
    """What is the same in all calls to a URL."""

    url: httpcore2.URL
    headers: list[tuple[bytes, bytes]]
    extensions: MutableMapping[str, Any]  # the timeouts


def _reply(status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> Reply:
    read = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
    if "content-encoding" in read:
        import httpx2

        content = httpx2.Response(status, headers=headers, content=content).content
    return Reply(status, read, content)


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
