"""A provider's webhook makes a look due: at once, once, and whatever else is under way."""

import asyncio
import json
from datetime import timedelta

import pytest

from nightmail.core.run import RunState
from nightmail.core.webhook import headers_of
from nightmail.errors import WebhookRefused
from nightmail.testing.clock import START
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider
from nightmail.worker.arrivals import take

SECRET = "whsec_c2VjcmV0IG9mIHNvbWUgbGVuZ3Ro"
NEVER = 10**9


def a_webhook(batch="batch_1", *, kind="batch.completed", webhook_id="wh_1", at=START, secret=SECRET):
    event = {"id": "evt_1", "object": "event", "created_at": 1, "type": kind, "data": {"id": batch}}
    body = json.dumps(event).encode()
    return headers_of(secret, message_id=webhook_id, at=at, body=body), body


async def took(desk, store, message, look_now=lambda: None):
    headers, body = message
    return await take(store, desk.clock, headers, body, secrets=[SECRET], look_now=look_now)


class Watched(ScriptedProvider):
    """Notes when it is asked after a batch."""

    clock = None
    asked_at = None

    async def poll(self, provider_batch_id):
        self.asked_at = self.clock.now()
        return await super().poll(provider_batch_id)


async def test_a_batch_that_is_looked_at_every_five_minutes_is_looked_at_within_a_second(tmp_path):
    provider = Watched(polls=NEVER)
    desk = Desk(tmp_path, provider, poll_interval=300.0)
    provider.clock = desk.clock
    driving = asyncio.create_task(desk.drive())
    store = await desk.store()
    while not provider.batches or desk.clock.now() < START + timedelta(minutes=2):
        await desk.clock.wait(1)
    with desk.clock.at_work():
        (name,), arrived, provider.asked_at = provider.batches, desk.clock.now(), None
        provider.polls = 1
        assert await took(desk, store, a_webhook(name, at=arrived))
    run = await driving
    assert run.state is RunState.FINISHED
    assert provider.asked_at - arrived <= timedelta(seconds=1)
    await store.close()


async def test_one_that_comes_again_does_nothing_and_wakes_nobody(tmp_path):
    desk, woken = Desk(tmp_path, ScriptedProvider()), []
    store = await desk.store()
    assert await took(desk, store, a_webhook(), lambda: woken.append(1))
    assert not await took(desk, store, a_webhook(), lambda: woken.append(1))
    await store.close()
    # Also after a restart.
    store = await desk.store()
    assert not await took(desk, store, a_webhook(), lambda: woken.append(1))
    await store.close()
    assert woken == [1]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (a_webhook(secret="whsec_b3RoZXI="), "no signature"),
        (a_webhook(at=START - timedelta(minutes=6)), "more than 300 seconds"),
        ((a_webhook()[0], a_webhook("batch_2")[1]), "no signature"),
        (({}, a_webhook()[1]), "missing or malformed"),
    ],
    ids=["forged", "stale", "altered", "unsigned"],
)
async def test_what_is_not_to_be_believed_changes_nothing(tmp_path, message, why):
    desk, woken = Desk(tmp_path, ScriptedProvider()), []
    store = await desk.store()
    with pytest.raises(WebhookRefused, match=why):
        await took(desk, store, message, lambda: woken.append(1))
    # The id of a forged one is not taken for seen.
    assert await took(desk, store, a_webhook())
    assert woken == []
    await store.close()


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"no json", b'{"type": 1}', b'{"type":"batch.failed","data":[]}']
)
async def test_what_is_signed_and_is_no_event_is_refused(tmp_path, body):
    desk = Desk(tmp_path, ScriptedProvider())
    store = await desk.store()
    headers = headers_of(SECRET, message_id="wh_1", at=START, body=body)
    with pytest.raises(WebhookRefused):
        await took(desk, store, (headers, body))
    await store.close()


async def test_what_is_about_no_batch_is_taken_and_left_alone(tmp_path):
    desk, woken = Desk(tmp_path, ScriptedProvider()), []
    store = await desk.store()
    other = a_webhook("resp_1", kind="response.completed")
    assert await took(desk, store, other, lambda: woken.append(1))
    assert woken == []
    await store.close()


async def test_a_look_that_was_under_way_when_it_came_does_not_undo_it(tmp_path):
    """The provider answers with what was true before the batch ended; the webhook comes meanwhile."""
    calling, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Watched):
        async def poll(self, provider_batch_id):
            answer = await super().poll(provider_batch_id)
            if not calling.is_set():
                calling.set()
                await go_on.wait()
            return answer

    provider = Slow(polls=NEVER)
    desk = Desk(tmp_path, provider, poll_interval=300.0)
    provider.clock = desk.clock
    driving = asyncio.create_task(desk.drive())
    await calling.wait()
    store = await desk.store()
    (name,), arrived = provider.batches, desk.clock.now()
    provider.polls = 1
    assert await took(desk, store, a_webhook(name, at=arrived))
    go_on.set()
    await driving
    assert provider.asked_at - arrived <= timedelta(seconds=1)
    await store.close()
