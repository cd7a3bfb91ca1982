"""A service by script, over real sockets: what it does with each request is told beforehand."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

Answer = Callable[[], bytes]


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def answer(status: int, body: Any = None, **headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def problem(status: int, name: str, **headers: str) -> bytes:
    said = {"type": f"urn:nightmail:problem:{name}", "title": "", "status": status, "detail": f"it is {name}"}
    return answer(status, said, **headers)


def told(*events: tuple[str, Any]) -> bytes:
    """A stream of server-sent events that ends with its last."""
    text = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events).encode()
    return b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + text


class Script:
    """Plays its lines one by one, one to a request. None cuts the connection without a word; a number reads
    so many bytes of the body and cuts it then."""

    def __init__(self, *lines: bytes | int | None) -> None:
        self._lines = list(lines)
        self.asked: list[Asked] = []
        self.url = ""

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *fields = head.rstrip().split("\r\n")
            headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
            line = self._lines.pop(0)
            body = await self._body(reader, headers, line if isinstance(line, int) else None)
            method, path, _ = first.split(" ")
            self.asked.append(Asked(method, path, headers, body))
            if isinstance(line, bytes):
                writer.write(line)
                await writer.drain()
            else:
                writer.transport.abort()

    @staticmethod
    async def _body(reader: asyncio.StreamReader, headers: dict[str, str], most: int | None) -> bytes:
        if "content-length" in headers:
            return await reader.readexactly(int(headers["content-length"]))
        body = b""
        while headers.get("transfer-encoding") == "chunked" and (most is None or len(body) < most):
            size = int((await reader.readline()).strip(), 16)
            body += (await reader.readexactly(size + 2))[:-2]
            if not size:
                break
        return body


@contextlib.asynccontextmanager
async def playing(*lines: bytes | int | None) -> AsyncIterator[Script]:
    script = Script(*lines)
    async with await asyncio.start_server(script.play, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        script.url = f"http://{host}:{port}"
        yield script
