"""Creating a batch over real HTTP: made once, and never in more doubt than need be."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.providers import bare_server

from nightmail.core.batch import Phase
from nightmail.core.request import Endpoint
from nightmail.errors import ProviderUnavailable
from nightmail.providers.base import CallReply, RemoteBatch
from nightmail.providers.openai import connection
from nightmail.providers.openai.adapter import OpenAIProvider

BATCH = {"id": "batch_1", "object": "batch", "status": "validating", "input_file_id": "file-1"}
METADATA = {"nightmail_run": "r", "nightmail_batch": "r.b1", "nightmail_attempt": "1"}
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


async def create(provider: OpenAIProvider) -> RemoteBatch:
    return await provider.create(input_file_id="file-1", endpoint=Endpoint.CHAT, metadata=METADATA)


async def call(provider: OpenAIProvider) -> CallReply:
    return await provider.call(Endpoint.CHAT, BODY)


@pytest.fixture
async def nowhere() -> AsyncIterator[OpenAIProvider]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        opened = OpenAIProvider.open(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/v1", api_key=None)
        yield opened
        await opened.close()


async def test_a_create_is_one_call_with_our_metadata_and_the_key(
    poor: Any, provider: OpenAIProvider
) -> None:
    poor.script("POST", "/batches", body=BATCH)
    batch = await create(provider)
    assert (batch.id, batch.phase) == ("batch_1", Phase.VALIDATING)
    (call,) = poor.log("POST", "/batches")
    assert json.loads(call["body"]) == {
        "input_file_id": "file-1",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": METADATA,
    }
    assert call["authorization"].startswith("Bearer sk-test-")


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503])
async def test_a_create_is_never_repeated_and_a_fault_leaves_it_in_doubt(
    poor: Any, provider: OpenAIProvider, status: int
) -> None:
    poor.script("POST", "/batches", status=status, times=9, headers={"retry-after": "0"})
    with pytest.raises(ProviderUnavailable) as caught:
        await create(provider)
    assert caught.value.ambiguous
    assert len(poor.log("POST", "/batches")) == 1


async def test_a_create_whose_answer_is_lost_is_in_doubt(poor: Any, provider: OpenAIProvider) -> None:
    poor.script("POST", "/batches", hang_up=True)
    with pytest.raises(ProviderUnavailable) as caught:
        await create(provider)
    assert caught.value.ambiguous
    assert len(poor.log("POST", "/batches")) == 1


@pytest.mark.parametrize("made", [create, call])
async def test_what_spoils_tls_after_the_request_leaves_it_in_doubt(
    made: Callable[[OpenAIProvider], Awaitable[object]], tls: ssl.SSLContext
) -> None:
    def answer(_: bytes) -> bytes:
        # Below TLS: a record that nobody has encrypted.
        os.write(server.writers[0].get_extra_info("socket").fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
        return b""

    async with (
        bare_server.served(answer, tls=tls) as (server, url),
        bare_server.opened(url) as provider,
    ):
        with pytest.raises(ProviderUnavailable, match=r"the connection broke .*bad record") as caught:
            await made(provider)
    assert caught.value.ambiguous
    assert len(server.asked) == 1


async def test_a_create_that_takes_too_long_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CREATE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        opened = OpenAIProvider.open(base_url=f"http://127.0.0.1:{silent.getsockname()[1]}/v1", api_key=None)
        with pytest.raises(ProviderUnavailable, match="no answer in time") as caught:
            await create(opened)
        assert caught.value.ambiguous
        await opened.close()


async def test_an_answer_that_is_no_batch_leaves_a_create_in_doubt(
    poor: Any, provider: OpenAIProvider
) -> None:
    for body in ("<html>please log in</html>", '{"object":"batch"}', "[]", ""):
        poor.script("POST", "/batches", body=body)
        with pytest.raises(ProviderUnavailable, match="not a batch") as caught:
            await create(provider)
        assert caught.value.ambiguous


async def test_each_create_has_a_connection_of_its_own(poor: Any, provider: OpenAIProvider) -> None:
    poor.script("POST", "/batches", body=BATCH, times=3)
    await provider.check()
    for _ in range(3):
        await create(provider)
    ports = {call["port"] for call in poor.log("POST", "/batches") + poor.log("GET", "/models")}
    assert len(ports) == 4


async def test_no_connection_at_all_is_not_in_doubt(nowhere: OpenAIProvider) -> None:
    for attempt in (create(nowhere), nowhere.check(), nowhere.call(Endpoint.CHAT, BODY), nowhere.poll("b")):
        with pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1") as caught:
            await attempt
        assert not caught.value.ambiguous


async def test_a_host_that_does_not_exist_is_not_in_doubt() -> None:
    opened = OpenAIProvider.open(base_url="http://no-such-host.invalid/v1", api_key="sk-test-000000000")
    with pytest.raises(ProviderUnavailable, match=r"no-such-host\.invalid") as caught:
        await create(opened)
    assert not caught.value.ambiguous
    await opened.close()


async def test_refused_metadata_are_left_out_from_then_on(
    start_poor: Callable[..., Any], tmp_path: Path
) -> None:
    server = start_poor("metadata")
    provider = OpenAIProvider.open(base_url=server.url, api_key=None)
    path = tmp_path / "in.jsonl"
    path.write_bytes(provider.request_line("r_1", Endpoint.CHAT, BODY))
    with path.open("rb") as content:
        file = await provider.upload(content, filename="in.jsonl")
    for _ in range(2):
        await provider.create(input_file_id=file.id, endpoint=Endpoint.CHAT, metadata=METADATA)
    sent = ["metadata" in json.loads(call["body"]) for call in server.log("POST", "/batches")]
    assert sent == [True, False, False]
    await provider.close()


async def test_metadata_that_meet_an_unclear_fault_are_not_sent_again(
    poor: Any, provider: OpenAIProvider
) -> None:
    poor.script("POST", "/batches", status=500, body={"error": {"message": "metadata store is down"}})
    with pytest.raises(ProviderUnavailable):
        await create(provider)
    assert len(poor.log("POST", "/batches")) == 1
