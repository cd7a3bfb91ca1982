"""Synchronous requests by the thousand. A call costs a third of the CPU that it takes through the client."""

from __future__ import annotations

import ssl

import httpx2

from nightmail.providers.openai.failures import Reply
from nightmail.providers.openai.headers import JSON
from nightmail.providers.openai.straight import REDIRECTS, Route, Straight

READ_BYTES = 1 << 16  # as much as most answers


class Callers:
    """Makes calls as `client` would, on connections that end after `idle` seconds without a call. The client
    stays its owner's, to be closed after `close`."""

    def __init__(self, client: httpx2.AsyncClient, tls: ssl.SSLContext, *, idle: float) -> None:
        self._client = client
        self._straight = Straight(client, tls, idle=idle, read_bytes=READ_BYTES)
        self._routes: dict[str, Route | None] = {}

    async def post(self, url: str, body: bytes) -> Reply:
        """The answer to `body`, which is JSON; all calls are to one server. Raises `httpx2.HTTPError`, or
        `ssl.SSLError`, if there is none."""
        if url not in self._routes:
            self._routes[url] = self._straight.route("POST", url, JSON)
        route = self._routes[url]
        if route is not None:
            async with self._straight.exchange(route, body) as answer:
                reply = _reply(answer.status, answer.headers, await answer.read())
            if reply.status not in REDIRECTS:
                return reply
        # After a redirect too: nothing was answered, nothing is paid, it is sent again to where it belongs.
        response = await self._client.post(url, content=body, headers=JSON)
        return Reply(response.status_code, response.headers, response.content)

    async def close(self) -> None:
        """End every connection, also under calls that are on their way."""
        await self._straight.close()


def _reply(status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> Reply:
    read = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
    if "content-encoding" in read:
        content = httpx2.Response(status, headers=headers, content=content).content
    return Reply(status, read, content)
