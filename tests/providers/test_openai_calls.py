"""Polls, cancels, checks and synchronous calls over real HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nightmail.core.request import Endpoint
from nightmail.errors import (
    AuthenticationFailed,
    BillingBlocked,
    NotFound,
    ProviderUnavailable,
    RateLimited,
    Unsupported,
)
from nightmail.providers.openai.adapter import OpenAIProvider

BATCH = {"id": "batch_1", "object": "batch", "status": "validating", "input_file_id": "file-1"}
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


@pytest.mark.parametrize(("status", "words"), [(409, "batch is completed"), (400, "Cannot cancel a batch")])
async def test_cancelling_an_ended_batch_is_harmless(
    poor: Any, provider: OpenAIProvider, status: int, words: str
) -> None:
    poor.script("POST", "/batches/b/cancel", status=status, body={"error": {"message": words}})
    assert await provider.cancel("b") is None


async def test_a_cancel_tells_an_unknown_batch_from_a_missing_call(
    poor: Any, provider: OpenAIProvider
) -> None:
    poor.script("POST", "/batches/b/cancel", status=404, body={"detail": "Not Found"}, times=2)
    poor.script("GET", "/batches/b", body=BATCH)
    with pytest.raises(Unsupported):
        await provider.cancel("b")
    with pytest.raises(NotFound):
        await provider.cancel("b")


async def test_an_id_cannot_reach_another_route(poor: Any, provider: OpenAIProvider) -> None:
    with pytest.raises(NotFound):
        await provider.poll("../files")
    assert poor.log("GET", "/files") == []
    with pytest.raises(NotFound):
        await provider.poll("")


async def test_a_poll_is_not_repeated_by_itself(poor: Any, provider: OpenAIProvider) -> None:
    poor.script("GET", "/batches/b", status=429, headers={"retry-after": "2"}, times=5)
    with pytest.raises(RateLimited) as caught:
        await provider.poll("b")
    assert caught.value.retry_after == 2.0
    assert len(poor.log("GET", "/batches/b")) == 1


@pytest.mark.parametrize(
    ("models", "batches", "error"),
    [
        ({"status": 200}, None, None),
        ({"status": 404}, {"status": 404}, None),
        ({"status": 405}, {"status": 200}, None),
        ({"status": 403}, {"status": 200}, None),
        ({"status": 429}, None, None),
        ({"status": 401}, None, AuthenticationFailed),
        ({"status": 403}, {"status": 403}, AuthenticationFailed),
        ({"status": 404}, {"status": 401}, AuthenticationFailed),
        ({"status": 429, "body": {"error": {"code": "insufficient_quota"}}}, None, BillingBlocked),
        ({"status": 503}, None, ProviderUnavailable),
    ],
)
async def test_a_check_passes_if_the_server_is_there_and_takes_the_key(
    poor: Any,
    provider: OpenAIProvider,
    models: dict[str, Any],
    batches: dict[str, Any] | None,
    error: type[Exception] | None,
) -> None:
    poor.script("GET", "/models", **models)
    if batches is not None:
        poor.script("GET", "/batches", **batches)
    if error is None:
        await provider.check()
        return
    with pytest.raises(error):
        await provider.check()


async def test_a_synchronous_call_sends_the_body_as_it_is(poor: Any, provider: OpenAIProvider) -> None:
    body = '{ "model": "m",\n"messages": [{"role":"user","content":"\u2028é"}] }'.encode()
    reply = await provider.call(Endpoint.CHAT, body)
    (call,) = poor.log("POST", "/chat/completions")
    assert call["body"].encode() == body
    assert reply.rates.remaining_requests == 7
    result = provider.read_result(provider.result_line("r_1", reply), Endpoint.CHAT)
    assert result.response is not None
    assert result.response.text == "heard: \u2028é"


async def test_a_refused_call_is_a_reply_but_for_the_key_and_money(
    poor: Any, provider: OpenAIProvider
) -> None:
    for status in (400, 403, 404, 422, 429, 500, 503):
        body = {"error": {"message": "model x is odd", "code": "c"}}
        poor.script("POST", "/chat/completions", status=status, body=body, headers={"Retry-After": "4"})
        reply = await provider.call(Endpoint.CHAT, BODY)
        assert (reply.status, reply.rates.retry_after) == (status, 4.0)
    poor.script("POST", "/chat/completions", status=401)
    with pytest.raises(AuthenticationFailed):
        await provider.call(Endpoint.CHAT, BODY)
    poor.script("POST", "/chat/completions", status=429, body={"error": {"type": "insufficient_quota"}})
    with pytest.raises(BillingBlocked):
        await provider.call(Endpoint.CHAT, BODY)


async def test_many_calls_at_once_are_all_answered(poor: Any, provider: OpenAIProvider) -> None:
    gate = asyncio.Semaphore(150)

    async def one(number: int) -> str | None:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": str(number)}]}).encode()
        async with gate:
            reply = await provider.call(Endpoint.CHAT, body)
        result = provider.read_result(provider.result_line(f"r_{number}", reply), Endpoint.CHAT)
        return result.response.text if result.response else None

    texts = await asyncio.gather(*(one(number) for number in range(600)))
    assert texts == [f"heard: {number}" for number in range(600)]


async def test_closing_twice_and_unused_is_harmless(poor: Any) -> None:
    provider = OpenAIProvider.open(base_url=poor.url, api_key=None)
    await provider.close()
    await provider.check()
    await provider.close()
    await provider.close()
