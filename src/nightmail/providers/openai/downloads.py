"""Downloads of files: half a megabyte at a time from the connection to the file."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import httpx2

from nightmail.providers.openai.failures import Reply
from nightmail.providers.openai.http11 import Answer
from nightmail.providers.openai.straight import REDIRECTS, Straight

READ_BYTES = 1 << 19  # twice as much gains nothing


class Downloads:
    """Downloads as `client` would, on connections that end after `idle` seconds without one. The client stays
    its owner's, to be closed after `close`."""

    def __init__(self, client: httpx2.AsyncClient, tls: ssl.SSLContext, *, idle: float) -> None:
        self._client = client
        self._straight = Straight(client, tls, idle=idle, read_bytes=READ_BYTES)

    async def get(self, url: str, write: Callable[[bytes], object]) -> Reply:
        """Hand what is at `url` to `write`, piece by piece, unpacked. The reply has no body unless it is a
        refusal. Raises `httpx2.HTTPError` if it did not come whole."""
        route = self._straight.route("GET", url)
        if route is not None:
            async with self._straight.exchange(route) as answer:
                if answer.status not in REDIRECTS:
                    response = httpx2.Response(answer.status, headers=answer.headers, stream=_Body(answer))
                    return await _kept(response, write)
        async with self._client.stream("GET", url) as response:
            return await _kept(response, write)

    async def close(self) -> None:
        """End every connection, also under downloads that are on their way."""
        await self._straight.close()


class _Body(httpx2.AsyncByteStream):
    """An answer's body as the client's response reads it; the exchange closes it."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._answer.pieces()) as pieces:
            async for piece in pieces:
                yield piece


async def _kept(response: httpx2.Response, write: Callable[[bytes], object]) -> Reply:
    if not response.is_success:
        return Reply(response.status_code, response.headers, await response.aread())
    # Closed also when `write` raises: what is left of the body is not to be read by whoever collects garbage.
    async with aclosing(response.aiter_bytes()) as pieces:
        async for piece in pieces:
            write(piece)
    announced, arrived = response.headers.get("content-length"), response.num_bytes_downloaded
    if announced is not None and announced.isdigit() and int(announced) != arrived:
        raise httpx2.RemoteProtocolError(f"{arrived} of {announced} bytes came")
    return Reply(response.status_code, response.headers, b"")
