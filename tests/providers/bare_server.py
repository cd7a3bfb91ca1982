"""A server that answers each request by a function of the test's, and notes what it was asked."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from nightmail.providers.openai.adapter import OpenAIProvider

KEY = "sk-test-0123456789abcdefghij"


def http(status: int, body: bytes, **headers: str) -> bytes:
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Said\r\ncontent-length: {len(body)}\r\n{named}\r\n".encode() + body


class Server:
    """Answers each request by `answer`; b"" hangs up. Notes the requests, by connection."""

    def __init__(self, answer: Callable[[bytes], bytes], *, last: bytes | None) -> None:
        self.answer = answer
        self.last = last
        self.connections: list[list[bytes]] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.left = asyncio.Event()  # a client has ended a connection

    @property
    def asked(self) -> list[bytes]:
        return [request for each in self.connections for request in each]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests: list[bytes] = []
        self.connections.append(requests)
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                _, named, length = head.lower().partition(b"content-length:")
                body = await reader.readexactly(int(length.split(b"\r\n")[0]) if named else 0)
                requests.append(head + body)
                if not (said := self.answer(head)):
                    return
                writer.write(said)
                if self.last is not None and said.endswith(self.last):
                    await writer.drain()
                    # The end of the connection below TLS, which is told nothing of it.
                    raw = writer.get_extra_info("socket")
                    with socket.fromfd(raw.fileno(), raw.family, raw.type) as below:
                        below.shutdown(socket.SHUT_WR)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            self.left.set()
            return
        finally:
            writer.close()


@asynccontextmanager
async def served(
    answer: Callable[[bytes], bytes], *, tls: ssl.SSLContext | None = None, last: bytes | None = None
) -> AsyncIterator[tuple[Server, str]]:
    """A server and its URL. After an answer that ends with `last` it sends nothing more on a connection."""
    server = Server(answer, last=last)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server, f"http{'s' if tls else ''}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for writer in server.writers:
            writer.close()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[OpenAIProvider]:
    provider = OpenAIProvider.open(base_url=f"{url}/v1", api_key=KEY)
    try:
        yield provider
    finally:
        await provider.close()
