"""Synchronous calls over connections of their own: what a bare server sees of them."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from tests.providers.bare_server import KEY, http, opened, served

from nightmail.core.request import Endpoint
from nightmail.errors import ProviderUnavailable
from nightmail.providers.openai import connection

BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
ANSWER = b'{"choices":[]}'


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """The URL of a server that lets `serve` deal with its one connection."""
    ended = asyncio.Event()

    async def served_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.transport.abort()
            ended.set()

    server = await asyncio.start_server(served_once, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.wait_for(ended.wait(), 30)


async def test_calls_one_after_the_other_go_over_one_connection() -> None:
    async with (
        served(lambda _: http(200, ANSWER, x_request_id="r")) as (server, url),
        opened(url) as provider,
    ):
        replies = [await provider.call(Endpoint.CHAT, BODY) for _ in range(3)]

    assert [(reply.status, reply.body, reply.request_id) for reply in replies] == [(200, ANSWER, "r")] * 3
    (requests,) = server.connections
    assert len(requests) == 3
    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert body == BODY
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /v1/chat/completions http/1.1"
    assert f"authorization: bearer {KEY}".encode() in lines
    assert [line for line in lines if line.startswith(b"content-length")] == [
        b"content-length: %d" % len(BODY)
    ]


async def test_calls_at_the_same_time_have_a_connection_each() -> None:
    async with served(lambda _: http(200, ANSWER)) as (server, url), opened(url) as provider:
        await asyncio.gather(*(provider.call(Endpoint.CHAT, BODY) for _ in range(20)))
        await asyncio.gather(*(provider.call(Endpoint.CHAT, BODY) for _ in range(20)))

    assert len(server.asked) == 40
    assert len(server.connections) == 20


async def test_a_connection_that_the_server_ends_is_not_used_again() -> None:
    async with (
        served(lambda _: http(200, ANSWER, connection="close")) as (server, url),
        opened(url) as provider,
    ):
        for _ in range(3):
            await provider.call(Endpoint.CHAT, BODY)

    assert [len(requests) for requests in server.connections] == [1, 1, 1]


async def test_a_connection_on_which_the_server_hung_up_between_calls_is_not_used_again() -> None:
    async with served(lambda _: http(200, ANSWER)) as (server, url), opened(url) as provider:
        await provider.call(Endpoint.CHAT, BODY)
        server.writers[0].close()
        await server.writers[0].wait_closed()
        await provider.call(Endpoint.CHAT, BODY)

    assert [len(requests) for requests in server.connections] == [1, 1]


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
async def test_a_body_of_many_megabytes_arrives_whole(secured: bool, tls: ssl.SSLContext) -> None:
    large = b'{"image":"%b"}' % (b"x" * 20_000_000)
    answering = served(lambda _: http(200, ANSWER), tls=tls if secured else None)
    async with answering as (server, url), opened(url) as provider:
        replies = [await provider.call(Endpoint.CHAT, large) for _ in range(2)]

    assert [reply.body for reply in replies] == [ANSWER] * 2
    assert [request.endswith(large) for request in server.asked] == [True, True]
    assert len(server.connections) == 1


async def test_a_server_that_refuses_before_it_has_read_everything_is_heard() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(413, b"{}", connection="close"))
        writer.write_eof()
        while await reader.read(1 << 20):
            continue

    async with listening(refuse) as url, opened(url) as provider:
        assert (await provider.call(Endpoint.CHAT, b"x" * 20_000_000)).status == 413


async def test_a_server_that_reads_nothing_is_not_written_to_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "READ_SECONDS", 0.05)
    over = asyncio.Event()

    async def sleep(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await over.wait()

    async with listening(sleep) as url, opened(url) as provider:
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.call(Endpoint.CHAT, b"x" * 20_000_000)
        over.set()

    assert caught.value.ambiguous


async def test_a_server_that_speaks_more_is_asked_for_the_one_protocol(tls: ssl.SSLContext) -> None:
    tls.set_alpn_protocols(["h2", "http/1.1"])
    async with served(lambda _: http(200, ANSWER), tls=tls) as (server, url), opened(url) as provider:
        await provider.call(Endpoint.CHAT, BODY)
        spoken = server.writers[0].get_extra_info("ssl_object").selected_alpn_protocol()

    assert spoken == "http/1.1"


async def test_what_is_said_before_the_answer_is_passed_over() -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n"
    async with served(lambda _: hint + http(200, ANSWER)) as (server, url), opened(url) as provider:
        replies = [await provider.call(Endpoint.CHAT, BODY) for _ in range(2)]

    assert [reply.body for reply in replies] == [ANSWER] * 2
    assert len(server.connections) == 1


async def test_what_nobody_asked_for_is_no_answer_to_the_next_call() -> None:
    twice = http(200, b'{"first":1}') + http(200, b'{"nobody asked":1}')
    async with served(lambda _: twice) as (server, url), opened(url) as provider:
        replies = [await provider.call(Endpoint.CHAT, BODY) for _ in range(2)]

    assert [reply.body for reply in replies] == [b'{"first":1}'] * 2
    assert len(server.connections) == 2


async def test_an_answer_whose_head_has_no_end_is_none() -> None:
    endless = b"HTTP/1.1 200 Said\r\n" + b"x-more: %b\r\n" % (b"x" * 80) * 2_000
    async with served(lambda _: endless) as (_, url), opened(url) as provider:
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.call(Endpoint.CHAT, BODY)

    assert caught.value.ambiguous


async def test_a_packed_answer_is_unpacked() -> None:
    packed = http(200, gzip.compress(ANSWER), content_encoding="gzip")
    async with served(lambda _: packed) as (_, url), opened(url) as provider:
        assert (await provider.call(Endpoint.CHAT, BODY)).body == ANSWER


async def test_a_redirect_is_followed_with_the_body() -> None:
    def answer(head: bytes) -> bytes:
        return http(200, ANSWER) if b" /v2/" in head else http(307, b"", location="/v2/chat/completions")

    async with served(answer) as (server, url), opened(url) as provider:
        reply = await provider.call(Endpoint.CHAT, BODY)

    assert reply.body == ANSWER
    assert all(request.endswith(BODY) for request in server.asked)


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(lambda _: http(200, ANSWER)) as (server, url):
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with opened("http://provider.invalid") as provider:
            reply = await provider.call(Endpoint.CHAT, BODY)

    assert reply.body == ANSWER
    (request,) = server.asked
    assert request.startswith(b"POST http://provider.invalid/v1/chat/completions HTTP/1.1")


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 Said\r\ncontent-length: 99\r\n\r\n{"[:30], b"nonsense\r\n\r\n"]
)
async def test_an_answer_that_does_not_come_whole_may_have_been_carried_out(said: bytes) -> None:
    async with served(lambda _: said) as (server, url), opened(url) as provider:
        if said:
            hang_up = asyncio.get_running_loop().call_soon
            answer = server.answer

            def partly(head: bytes) -> bytes:
                hang_up(lambda: hang_up(server.writers[0].close))
                return answer(head)

            server.answer = partly
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.call(Endpoint.CHAT, BODY)

    assert caught.value.ambiguous
    assert "cannot answer a request" in str(caught.value)


async def test_a_server_that_is_not_there_has_carried_nothing_out() -> None:
    async with served(lambda _: http(200, ANSWER)) as (_, url):
        pass
    async with opened(url) as provider:
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.call(Endpoint.CHAT, BODY)

    assert not caught.value.ambiguous


async def test_a_call_that_is_given_up_ends_its_connection_and_no_other() -> None:
    waits = asyncio.Event()

    def answer(head: bytes) -> bytes:
        if not waits.is_set():
            waits.set()
            return b"HTTP/1.1 200 Said\r\ncontent-length: 5\r\n\r\n"
        return http(200, ANSWER)

    async with served(answer) as (server, url), opened(url) as provider:
        given_up = asyncio.create_task(provider.call(Endpoint.CHAT, BODY))
        await asyncio.wait_for(waits.wait(), 30)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        reply = await provider.call(Endpoint.CHAT, BODY)

    assert reply.body == ANSWER
    assert json.loads(reply.body) == {"choices": []}
    assert len(server.connections) == 2
