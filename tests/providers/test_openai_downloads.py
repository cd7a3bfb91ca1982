"""Downloads over connections of their own: what a bare server sees, and what becomes of its answers."""

from __future__ import annotations

import asyncio
import errno
import gzip
import hashlib
import socket
import ssl
import struct
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from tests.providers.bare_server import KEY, http, opened, served

from nightmail.errors import NotFound, ProviderUnavailable
from nightmail.providers.openai import connection, downloads
from nightmail.providers.openai.connection import Connection
from nightmail.providers.openai.failures import Call
from nightmail.providers.openai.sockets import Sockets

# Larger than what is read at a time and than what is under way between two sockets, the same nowhere.
LARGE = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(400_000))
PART = b"HTTP/1.1 200 Said\r\ncontent-length: 99\r\n\r\nhalf"
ENDLESS = b"HTTP/1.1 200 Said\r\n\r\nhalf"

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


def answering(content: bytes) -> Callable[[bytes], bytes]:
    """The content is `content`, whole; nothing else can be asked."""
    return lambda head: content if b"/content " in head else http(404, b"{}")


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
def test_a_large_file_comes_byte_for_byte_in_large_pieces(
    run: Run, secured: bool, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    async def story() -> None:
        content = answering(http(200, LARGE))
        async with served(content, tls=tls if secured else None) as (server, url), opened(url) as provider:
            for name in ("first", "second"):
                assert await provider.fetch("f", tmp_path / name) == len(LARGE)
                assert (tmp_path / name).read_bytes() == LARGE
        assert sum(b"/content " in request for request in server.asked) == 2
        assert len(server.connections) == 2  # one of the downloads, one on which the sizes are asked

    run(story())


@pytest.mark.parametrize("size", [1, 40_000, 3_000_000])
async def test_a_file_in_chunks_comes_byte_for_byte(size: int, tmp_path: Path) -> None:
    content = LARGE[:4_000_000]
    pieces = [content[at : at + size] for at in range(0, min(len(content), size * 2000), size)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    chunked = b"HTTP/1.1 200 Said\r\ntransfer-encoding: chunked\r\n\r\n" + body
    async with served(answering(chunked)) as (_, url), opened(url) as provider:
        await provider.fetch("f", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"".join(pieces)


async def test_downloads_at_the_same_time_have_a_connection_each() -> None:
    async with served(answering(http(200, b"x"))) as (server, url):
        opened = Connection(f"{url}/v1", KEY)
        call = Call("host", "download file", "GET /files/{id}/content", "f")
        for _ in range(2):
            # All have begun before any can have ended: none waits for anything but the server.
            await asyncio.gather(
                *(opened.download(call, "/files/f/content", bytearray().extend) for _ in range(5))
            )
        await opened.close()

    assert [len(requests) for requests in server.connections] == [2] * 5


def test_a_connection_on_which_the_server_hung_up_between_downloads_is_not_used_again(
    run: Run, tmp_path: Path
) -> None:
    async def story() -> None:
        async with served(answering(http(200, b"x"))) as (server, url), opened(url) as provider:
            await provider.fetch("f", tmp_path / "out")
            for writer in server.writers:
                writer.close()
                await writer.wait_closed()
            assert await provider.fetch("f", tmp_path / "out") == 1

    run(story())


async def test_a_packed_file_is_unpacked_and_measured_as_it_was_sent(tmp_path: Path) -> None:
    content = LARGE[:2_000_000]
    packed = gzip.compress(content)
    whole = http(200, packed, content_encoding="gzip")
    async with served(answering(whole)) as (_, url), opened(url) as provider:
        assert await provider.fetch("f", tmp_path / "out") == len(content)
    assert (tmp_path / "out").read_bytes() == content

    async with served(answering(whole[:-9]), last=whole[:-9]) as (_, url), opened(url) as provider:
        with pytest.raises(ProviderUnavailable):
            await provider.fetch("f", tmp_path / "out")

    spoilt = http(200, b"no gzip", content_encoding="gzip")
    async with served(answering(spoilt)) as (_, url), opened(url) as provider:
        with pytest.raises(ProviderUnavailable, match="cannot download file 'f'"):
            await provider.fetch("f", tmp_path / "out")


async def test_a_refusal_is_told_in_the_servers_words_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    said = b'{"error": {"message": "No such File object: f", "type": "invalid_request_error"}}'
    async with served(lambda _: http(404, said)) as (server, url), opened(url) as provider:
        for _ in range(2):
            with pytest.raises(NotFound, match="No such File object: f"):
                await provider.fetch("f", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b""
    assert [len(requests) for requests in server.connections] == [2]

    packed = http(500, gzip.compress(b'{"error": {"message": "out of order"}}'), content_encoding="gzip")
    async with served(lambda _: packed) as (_, url), opened(url) as provider:
        with pytest.raises(ProviderUnavailable, match="HTTP 500: out of order"):
            await provider.fetch("f", tmp_path / "out")


async def test_a_redirect_is_followed_and_the_key_stays_with_the_server(tmp_path: Path) -> None:
    async with served(lambda _: http(200, b"elsewhere")) as (other, there):
        moved = http(302, b"", location=f"{there.replace('127.0.0.1', 'localhost')}/blob")
        async with served(answering(moved)) as (_, url), opened(url) as provider:
            await provider.fetch("f", tmp_path / "out")

    assert (tmp_path / "out").read_bytes() == b"elsewhere"
    (request,) = other.asked
    assert b"authorization" not in request.lower()


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with served(answering(http(200, b"x"))) as (server, url):
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with opened("http://provider.invalid") as provider:
            assert await provider.fetch("f", tmp_path / "out") == 1

    assert server.asked[0].startswith(b"GET http://provider.invalid/v1/files/f/content HTTP/1.1")


@pytest.mark.parametrize("said", [b"", PART, b"nonsense\r\n\r\n"], ids=["nothing", "part", "nonsense"])
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
def test_a_connection_that_breaks_is_no_download(
    run: Run, secured: bool, said: bytes, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    async def story() -> None:
        context = tls if secured else None
        async with served(lambda _: said, tls=context, last=said) as (_, url), opened(url) as provider:
            with pytest.raises(ProviderUnavailable, match="cannot download file 'f': the connection broke"):
                await provider.fetch("f", tmp_path / "out")

    run(story())


class Download:
    """One over a connection of its own, whose pieces the test sees as they come."""

    def __init__(self, url: str) -> None:
        self.connection = Connection(f"{url}/v1", KEY)
        self.came = asyncio.Event()
        call = Call("host", "download file", "GET /files/{id}/content", "f")
        self.reply = asyncio.create_task(self.connection.download(call, "/files/f/content", self.write))

    def write(self, _: bytes) -> None:
        self.came.set()

    async def fails(self, why: str) -> None:
        with pytest.raises(ProviderUnavailable, match=why):
            await self.reply
        await self.connection.close()


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
def test_the_servers_end_is_that_of_a_file_without_a_length_and_a_reset_is_not(
    run: Run, secured: bool, tls: ssl.SSLContext
) -> None:
    async def story() -> None:
        context = tls if secured else None
        # Servers may end TLS without a word: only its size at the provider shows that a file was cut off.
        async with served(lambda _: ENDLESS, tls=context, last=ENDLESS) as (_, url):
            unsaid = Download(url)
            assert (await unsaid.reply).ok
            await unsaid.connection.close()

        async with served(lambda _: ENDLESS, tls=context) as (server, url):
            whole = Download(url)
            await asyncio.wait_for(whole.came.wait(), 30)
            server.writers[0].close()
            assert (await whole.reply).ok
            await whole.connection.close()

            cut = Download(url)
            await asyncio.wait_for(cut.came.wait(), 30)
            # Closed with nothing to linger for, below TLS: the other side is told of a reset, not of an end.
            gone = server.writers[1].get_extra_info("socket")
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            server.writers[1].transport.abort()
            await cut.fails("the connection broke")

    run(story())


@pytest.mark.parametrize("said", [PART, ENDLESS], ids=["with a length", "without"])
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
def test_closing_ends_a_download_which_is_then_none(
    run: Run, secured: bool, said: bytes, tls: ssl.SSLContext
) -> None:
    async def story() -> None:
        async with served(lambda _: said, tls=tls if secured else None) as (server, url):
            download = Download(url)
            await asyncio.wait_for(download.came.wait(), 30)
            await download.connection.close()
            await download.fails("the connection broke")
            await asyncio.wait_for(server.left.wait(), 30)

    run(story())


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
def test_a_download_that_is_given_up_ends_its_connection(
    run: Run, secured: bool, tls: ssl.SSLContext
) -> None:
    async def story() -> None:
        async with served(lambda _: PART, tls=tls if secured else None) as (server, url):
            download = Download(url)
            await asyncio.wait_for(download.came.wait(), 30)
            download.reply.cancel()
            with pytest.raises(asyncio.CancelledError):
                await download.reply
            await asyncio.wait_for(server.left.wait(), 30)
            await download.connection.close()

    run(story())


async def test_what_the_disk_says_is_not_taken_for_the_network() -> None:
    def write(_: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with served(lambda _: PART) as (server, url):
        opened = Connection(f"{url}/v1", KEY)
        with pytest.raises(OSError, match="No space left"):
            await opened.download(Call("host", "x", "GET /x", "f"), "/files/f/content", write)
        await asyncio.wait_for(server.left.wait(), 30)
        await opened.close()


def test_a_server_that_falls_silent_is_not_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "READ_SECONDS", 0.05)

    async def story() -> None:
        async with served(lambda _: PART) as (server, url):
            download = Download(url)
            await download.fails("no answer in time")
            await asyncio.wait_for(server.left.wait(), 30)

    run(story())


def test_a_server_that_never_greets_is_not_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.05)

    async def story() -> None:
        async with served(lambda _: b"") as (_, url):
            await Download(url.replace("http:", "https:")).fails("no connection in time")

    run(story())


def test_a_server_that_is_not_who_it_says_is_not_asked(run: Run, authority: trustme.CA) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def story() -> None:
        async with served(answering(http(200, b"x")), tls=context) as (server, url):
            download = Download(url)  # trusts no such authority
            await download.fails("no connection .*certificate verify failed")
            assert server.asked == []

    run(story())


async def test_a_server_that_is_not_there_is_told_as_such() -> None:
    async with served(lambda _: b"") as (_, url):
        pass
    await Download(url).fails("no connection")


async def test_what_comes_faster_than_it_is_taken_waits_in_the_socket() -> None:
    async with served(lambda _: LARGE) as (_, url):
        port = int(url.rpartition(":")[2])
        stream = await Sockets(downloads.READ_BYTES).connect_tcp("127.0.0.1", port)
        await stream.write(b"GET /content HTTP/1.1\r\n\r\n")
        pieces = []
        while sum(map(len, pieces)) < len(LARGE):
            # The other tasks of the loop have many turns before the next is taken.
            for _ in range(20):
                await turn()
            pieces.append(await stream.read(1, timeout=30))
        await stream.aclose()

    assert b"".join(pieces) == LARGE
    assert max(map(len, pieces)) == downloads.READ_BYTES


async def turn() -> None:
    passed = asyncio.Event()
    asyncio.get_running_loop().call_soon(passed.set)
    await passed.wait()
