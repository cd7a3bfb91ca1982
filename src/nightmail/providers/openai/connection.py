"""The connections to the server, opened when first needed: which carry what, and for how long.

Nothing here repeats a call, since a repeated create is a second paid batch. Every answer comes back as a
`Reply`, whatever its status; only the lack of one is an exception.

Four kinds of connections:
* ordinary calls share a small pool;
* a create has a connection of its own. On a kept one the server may be hanging up just then, which
  would make a paid call ambiguous for nothing;
* synchronous requests, thousands of them, have their own, in `callers`;
* downloads have their own, which are read in large pieces, in `downloads`.
"""

from __future__ import annotations

import asyncio
import io
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from nightmail.network import may_be_proxied
from nightmail.providers.base import Content
from nightmail.providers.openai.failures import Call, Reply, unanswered
from nightmail.providers.openai.headers import JSON, headers_for

if TYPE_CHECKING:
    import httpx2

    from nightmail.providers.openai.callers import Callers
    from nightmail.providers.openai.downloads import Downloads

CONNECT_SECONDS = 10.0
READ_BYTES = 1 << 20  # of an input file at a time
READ_SECONDS = 60.0  # between two bytes, not for the whole
CREATE_SECONDS = 30.0  # the whole create call, connecting included: nothing is in flight after it
UPLOAD_ANSWER_SECONDS = 300.0  # after the last byte, servers check the file before they answer
CALL_SECONDS = 900.0  # a synchronous answer; flex and reasoning models take minutes
# Below the 5 s after which common servers hang up on an idle connection: they must not do it just as it is
# taken again.
IDLE_SECONDS = 4.0
KEPT = 20


class Connection:
    """Opened with the base URL and the key; connects to nothing before the first call. Raises `ConfigError`
    for what the environment says and no header or proxy can."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key
        self._headers = headers_for(key, os.environ)
        self._proxied = may_be_proxied(url)
        self._ordinary: httpx2.AsyncClient | None = None
        self._creating: httpx2.AsyncClient | None = None
        self._calling: httpx2.AsyncClient | None = None
        self._callers: Callers | None = None
        self._downloading: httpx2.AsyncClient | None = None
        self._downloads: Downloads | None = None
        self._tls: ssl.SSLContext | None = None

    async def get(self, call: Call, path: str, params: Mapping[str, Any] | None = None) -> Reply:
        return await self._ask(call, "GET", path, params=params or None)

    # The last two say what they do not have, a body of JSON, as the official client does: servers are tried
    # with that.
    async def delete(self, call: Call, path: str) -> Reply:
        return await self._ask(call, "DELETE", path, headers=JSON)

    async def post(self, call: Call, path: str) -> Reply:
        return await self._ask(call, "POST", path, headers=JSON)

    async def create(self, call: Call, path: str, body: Mapping[str, Any]) -> Reply:
        """A POST over a connection of its own, over after `CREATE_SECONDS` at the latest."""
        if self._creating is None:
            self._creating = self._client(kept=0, read=READ_SECONDS)
        with self._translated(call):
            async with asyncio.timeout(CREATE_SECONDS):
                return _reply(await self._creating.post(f"{self.url}{path}", json=body))

    async def upload(self, call: Call, content: Content, filename: str) -> Reply:
        """Send a file as purpose `batch`, read as it goes. What reading it raises is raised as it is."""
        file = _LargeReads(content)
        try:
            return await self._ask(
                call,
                "POST",
                "/files",
                data={"purpose": "batch"},
                files={"file": (filename, cast(IO[bytes], file), "application/jsonl")},
                timeout=self._timeout(UPLOAD_ANSWER_SECONDS),
            )
        except Exception as error:
            # A file system's timeout looks like one of the connection, and would be tried again for ever.
            if file.failure is None or file.failure is error:
                raise
            raise file.failure from error

    async def download(self, call: Call, path: str, write: Callable[[bytes], object]) -> Reply:
        """Hand a file's content to `write`, piece by piece. The reply has no body unless it is a refusal.

        A body shorter than its own Content-Length is no answer, like a connection that breaks.
        """
        if self._downloads is None:
            from nightmail.providers.openai.downloads import Downloads

            self._downloading = self._client(kept=KEPT, read=READ_SECONDS, accept="application/binary")
            self._downloads = Downloads(self._downloading, self._context(), idle=IDLE_SECONDS)
        with self._translated(call):
            return await self._downloads.get(f"{self.url}{path}", write)

    async def call(self, call: Call, path: str, body: bytes) -> Reply:
        """A synchronous request with a body that is JSON already; made for thousands at a time."""
        if self._callers is None:
            from nightmail.providers.openai.callers import Callers

            self._calling = self._client(kept=None, read=CALL_SECONDS)
            self._callers = Callers(self._calling, self._context(), idle=IDLE_SECONDS)
        with self._translated(call):
            return await self._callers.post(f"{self.url}{path}", body)

    async def close(self) -> None:
        straight = (self._callers, self._downloads)
        clients = (self._calling, self._downloading, self._creating, self._ordinary)
        self._callers, self._downloads = None, None
        self._calling, self._downloading, self._creating, self._ordinary = None, None, None, None
        for connections in straight:
            if connections is not None:
                await connections.close()
        for client in clients:
            if client is not None:
                await client.aclose()

    async def _ask(self, call: Call, method: str, path: str, **more: Any) -> Reply:
        if self._ordinary is None:
            self._ordinary = self._client(kept=KEPT, read=READ_SECONDS)
        with self._translated(call):
            return _reply(await self._ordinary.request(method, f"{self.url}{path}", **more))

    @contextmanager
    def _translated(self, call: Call) -> Iterator[None]:
        import httpx2

        try:
            yield
        # What breaks TLS after the handshake comes as it is out of the event loop.
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, TimeoutError) as error:
            raise unanswered(call, error, self.key) from error

    def _timeout(self, read: float) -> httpx2.Timeout:
        import httpx2

        # No limit on the wait for a connection: how many calls there may be at once is for the caller.
        return httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, read=read, pool=None)

    def _client(
        self, *, kept: int | None, read: float, accept: str = "application/json"
    ) -> httpx2.AsyncClient:
        import httpx2

        return httpx2.AsyncClient(
            headers={**self._headers, "Accept": accept},
            verify=self._context(),
            timeout=self._timeout(read),
            limits=httpx2.Limits(
                max_connections=None, max_keepalive_connections=kept, keepalive_expiry=IDLE_SECONDS
            ),
            follow_redirects=True,
            trust_env=self._proxied,
        )

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            import httpx2

            # Loading the certificates takes 20 ms; once is enough for all.
            self._tls = httpx2.create_ssl_context()
        return self._tls


def _reply(response: httpx2.Response) -> Reply:
    return Reply(response.status_code, response.headers, response.content)


class _LargeReads(io.RawIOBase):
    """A file that gives more at a time than it is asked for, and remembers what reading it raised. The client
    asks for 64 KB and takes what it gets; sending each piece costs it as much whatever its size, which made
    up most of an upload's cost."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.failure: Exception | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._content.seek(offset, whence)

    def tell(self) -> int:
        return self._content.tell()

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._content.read(size if size < 0 else max(size, READ_BYTES))
        except Exception as error:
            self.failure = error
            raise
