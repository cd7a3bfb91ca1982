"""Things come late: a create call, its batch in the list, the names and the content of result files.
Still one batch is paid for, and no answer is thrown away."""

from datetime import timedelta

import msgspec
import pytest

from nightmail.core.batch import Phase
from nightmail.core.polling import LOST_AFTER
from nightmail.core.run import RunState
from nightmail.errors import LeaseLost, NotFound, ProviderUnavailable
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider
from nightmail.worker.lease import TERM


class Slow(ScriptedProvider):
    """An upload takes minutes; the create call's answer is lost, and the batch shows up in the list later."""

    desk: Desk

    async def upload(self, content, *, filename):
        self.desk.clock.advance(timedelta(minutes=3))
        return await super().upload(content, filename=filename)

    async def create(self, *, input_file_id, endpoint, metadata):
        remote = await super().create(input_file_id=input_file_id, endpoint=endpoint, metadata=metadata)
        if len(self.batches) == 1:
            self.shown_at = self.desk.clock.now() + timedelta(seconds=40)
            raise ProviderUnavailable("no answer in time", ambiguous=True)
        return remote

    async def find(self):
        if self.desk.clock.now() >= self.shown_at:
            async for remote in super().find():
                yield remote


async def test_the_quarantine_counts_from_the_create_call_not_from_the_upload_before_it(tmp_path):
    provider = Slow()
    provider.desk = desk = Desk(tmp_path, provider)

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert len(provider.batches) == 1
    assert set(provider.executed.values()) == {1}


class Sleepy(ScriptedProvider):
    """The file is not visible at first; meanwhile this worker is stopped and another takes the run."""

    desk: Desk
    created = 0

    async def create(self, *, input_file_id, endpoint, metadata):
        self.created += 1
        if self.created == 1:
            self.desk.clock.advance(TERM * 3)
            store = await self.desk.store()
            now = self.desk.clock.now()
            run_id = (await store.runs.list())[0].run_id
            token = "other/1/x"
            assert await store.runs.claim(run_id=run_id, token=token, now=now, until=now + TERM, dead=[])
            await store.close()
            raise NotFound("no such file yet", status=404)
        return await super().create(input_file_id=input_file_id, endpoint=endpoint, metadata=metadata)


async def test_a_worker_that_lost_its_lease_while_it_slept_creates_nothing(tmp_path):
    provider = Sleepy()
    provider.desk = desk = Desk(tmp_path, provider)

    with pytest.raises(LeaseLost):
        await desk.drive()

    assert (provider.created, provider.batches) == (1, {})


class LateIds(ScriptedProvider):
    """An ended batch names its files only at the third look."""

    async def poll(self, provider_batch_id):
        remote = await super().poll(provider_batch_id)
        if self.batches[provider_batch_id].polls < 3:
            return msgspec.structs.replace(remote, output_file_id=None, error_file_id=None)
        return remote


@pytest.mark.parametrize("ends", [Phase.EXPIRED, Phase.CANCELLED, Phase.COMPLETED])
async def test_files_that_are_named_late_are_waited_for_however_the_batch_ended(tmp_path, ends):
    provider = LateIds(ends=ends)
    desk = Desk(tmp_path, provider)

    await desk.drive()

    assert (await desk.status()).succeeded == 6
    assert set(provider.executed.values()) == {1}


class LateFiles(ScriptedProvider):
    """Result files cannot be read at first; or never, if they are `gone`."""

    gone = None
    fetches = 0

    async def fetch(self, file_id, to):
        self.fetches += 1
        if self.gone is not None and len(self.batches) == 1:
            raise NotFound("no such file", status=self.gone)
        if self.fetches < 4:
            raise NotFound("no such file yet", status=404)
        return await super().fetch(file_id, to)


async def test_a_result_file_that_cannot_be_read_yet_is_read_later(tmp_path):
    provider = LateFiles()
    desk = Desk(tmp_path, provider)

    await desk.drive()

    assert (await desk.status()).succeeded == 6
    assert set(provider.executed.values()) == {1}


class LateFilesOverAnHour(LateFiles):
    """The machine sleeps when a file cannot be read for the first time."""

    desk: Desk

    async def fetch(self, file_id, to):
        if self.fetches == 0:
            self.desk.clock.advance(timedelta(hours=1))
        return await super().fetch(file_id, to)


async def test_one_refusal_of_a_file_is_not_believed_however_late_it_comes(tmp_path):
    provider = LateFilesOverAnHour()
    provider.desk = desk = Desk(tmp_path, provider)

    await desk.drive()

    assert (await desk.status()).succeeded == 6
    assert set(provider.executed.values()) == {1}


@pytest.mark.parametrize(("status", "waits"), [(404, True), (410, False)])
async def test_a_result_file_that_is_gone_is_given_up_after_a_while(tmp_path, status, waits):
    provider = LateFiles()
    provider.gone = status
    desk = Desk(tmp_path, provider)
    began = desk.clock.now()

    await desk.drive()

    assert (await desk.status()).succeeded == 6
    assert set(provider.executed.values()) == {2}
    assert (desk.clock.now() - began >= LOST_AFTER) is waits
