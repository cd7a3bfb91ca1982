"""A worker whose key does not show what the run has sent: nothing goes again, and the right key goes on."""

import asyncio

import pytest

from nightmail.core.batch import BatchState
from nightmail.core.run import PauseReason, RunState, Wish
from nightmail.errors import ProviderUnavailable, RequestRefused
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider


class StopsAt(ScriptedProvider):
    """The worker is told to stop when it makes this call, which comes to nothing."""

    call_name = ""
    stop = None

    async def _maybe(self, name):
        if name == self.call_name:
            self.call_name = ""
            self.stop.set()
            raise ProviderUnavailable("the connection closed", ambiguous=True)

    async def create(self, **asked):
        remote = await super().create(**asked)
        await self._maybe("create")
        return remote

    async def poll(self, provider_batch_id):
        await self._maybe("poll")
        return await super().poll(provider_batch_id)

    async def fetch(self, file_id, to):
        await self._maybe("fetch")
        return await super().fetch(file_id, to)


async def stopped_at(tmp_path, name):
    desk = Desk(tmp_path, StopsAt(polls=2))
    desk.provider.call_name, desk.provider.stop = name, asyncio.Event()
    run = await desk.drive(stop=desk.provider.stop)
    assert run.state not in (RunState.FINISHED, RunState.PAUSED)
    return desk


@pytest.mark.parametrize("name", ["create", "poll", "fetch"])
async def test_what_another_key_does_not_show_is_not_sent_again(tmp_path, name):
    desk = await stopped_at(tmp_path, name)
    sent, desk.provider = desk.provider, ScriptedProvider(account="desk:11111111")

    run = await desk.drive()

    assert (run.state, run.pause_reason) == (RunState.PAUSED, PauseReason.CREDENTIALS)
    assert "b1" in run.pause_message
    assert "desk:00000000" in run.pause_message
    assert desk.provider.batches == {}

    desk.provider = sent
    await desk.resume()
    assert (await desk.drive()).state is RunState.FINISHED
    assert set(sent.executed.values()) == {1}
    assert len(desk.outputs()) == 6


@pytest.mark.parametrize("name", ["create", "poll", "fetch"])
async def test_a_new_key_of_the_same_project_goes_on(tmp_path, name):
    desk = await stopped_at(tmp_path, name)
    desk.provider.account = "desk:22222222"

    assert (await desk.drive()).state is RunState.FINISHED
    assert set(desk.provider.executed.values()) == {1}
    assert len(desk.outputs()) == 6


async def test_a_file_that_is_gone_for_good_is_gone_for_a_new_key_too(tmp_path):
    class Gone(StopsAt):
        """The file of its first answers was deleted meanwhile."""

        async def fetch(self, file_id, to):
            if self.account != "desk:00000000" and len(self.batches) == 1:
                raise RequestRefused("the file was deleted", status=410)
            return await super().fetch(file_id, to)

    desk = Desk(tmp_path, Gone(polls=2))
    desk.provider.call_name, desk.provider.stop = "fetch", asyncio.Event()
    await desk.drive(stop=desk.provider.stop)
    desk.provider.account = "desk:22222222"

    assert (await desk.drive()).state is RunState.FINISHED
    assert len(desk.outputs()) == 6
    assert len(desk.provider.batches) == 2


async def test_what_was_planned_for_another_key_is_cut_anew(tmp_path):
    desk = Desk(tmp_path, StopsAt(polls=2), max_batch_requests=1)
    desk.provider.call_name, desk.provider.stop = "create", asyncio.Event()
    await desk.drive(stop=desk.provider.stop)
    desk.provider.account = "desk:22222222"

    assert (await desk.drive()).state is RunState.FINISHED
    assert set(desk.provider.executed.values()) == {1}
    store = await desk.store()
    try:
        batches = await store.batches.list(1)
    finally:
        await store.close()
    sent = {batch.account for batch in batches if batch.state is not BatchState.ABANDONED}
    assert "desk:22222222" in sent
    planned = [each for each in batches if each.account == "desk:00000000" and not each.provider_batch_id]
    assert all(batch.state is BatchState.ABANDONED for batch in planned)
    assert planned


async def test_a_run_whose_key_is_gone_for_good_can_be_given_up(tmp_path):
    desk = await stopped_at(tmp_path, "poll")
    desk.provider = ScriptedProvider(account="desk:11111111")
    await desk.drive()
    store = await desk.store()
    try:
        await store.runs.record_wish(1, Wish.CANCEL)
    finally:
        await store.close()
    await desk.resume()

    assert (await desk.drive()).state is RunState.CANCELLED
    assert desk.provider.batches == {}
    assert desk.outputs() == []


async def test_a_list_of_another_project_does_not_end_the_search_for_a_second_batch(tmp_path):
    class Lost(StopsAt):
        """The answer to the create call is lost, which somebody on the way made twice."""

        async def create(self, **asked):
            await ScriptedProvider.create(self, **asked)
            return await super().create(**asked)

    desk = Desk(tmp_path, Lost(polls=2))
    desk.provider.call_name, desk.provider.stop = "create", asyncio.Event()
    await desk.drive(stop=desk.provider.stop)
    sent = desk.provider
    sent.stop, sent.call_name = asyncio.Event(), "fetch"
    await desk.drive(stop=sent.stop)
    desk.provider = ScriptedProvider(account="desk:11111111")
    run = await desk.drive()
    assert (run.state, run.pause_reason) == (RunState.PAUSED, PauseReason.CREDENTIALS)

    desk.provider = sent
    await desk.resume()
    assert (await desk.drive()).state is RunState.FINISHED
    assert (await desk.status()).batches == 2
