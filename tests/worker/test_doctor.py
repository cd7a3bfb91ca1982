"""`nightmail doctor --fix` on a desk: a provider in this process, on which things are that should not be."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
from datetime import timedelta
from io import BytesIO

import pytest

from nightmail.config import read
from nightmail.core.batch import BatchState, Phase
from nightmail.core.lifecycle import RunEvent
from nightmail.core.recovery import mark_of, metadata, upload_name
from nightmail.core.request import Endpoint
from nightmail.core.run import PauseReason, RunState, Wish
from nightmail.errors import ProviderUnavailable, RateLimited, RequestRefused, Unsupported
from nightmail.testing.desk import GROUPS, Desk
from nightmail.testing.faults import Crash, CrashPlan, Faulty
from nightmail.testing.provider import ScriptedProvider
from nightmail.worker.audit import examine
from nightmail.worker.findings import Kind
from nightmail.worker.lease import TERM

PRICE = 10 * 75_000 + 5 * 300_000  # of one answer, in pico-USD


async def examined(desk, *, fix=False, plan=None):
    store = await desk.store()
    try:
        provider, watched = desk.provider, store
        if plan is not None:
            watched = Faulty(store, plan, desk.clock, name="store", groups=GROUPS)
            provider = Faulty(
                provider, plan, desk.clock, name="provider", pure=("read_result", "read_answers")
            )
        settings = read(home=desk.home, environment={})
        return await examine(settings, watched, desk.clock, provider, fix=fix)
    finally:
        await store.close()


def kinds(audit):
    return [finding.kind for finding in audit.findings]


async def batches(desk):
    store = await desk.store()
    try:
        (run,) = await store.runs.list()
        assert await store.requests.miscounted(run.run_no) is None
        return await store.batches.list(run.run_no)
    finally:
        await store.close()


async def create_again(desk, number=0):
    """Somebody on the way makes the create call of a batch of ours once more."""
    batch = (await batches(desk))[number]
    carried = metadata(await desk.run_id(), batch.batch_id, batch.attempt)
    return await desk.provider.create(
        input_file_id=batch.input_file_id, endpoint=Endpoint.CHAT, metadata=carried
    )


async def finished(folder, **options):
    """A run that is over, but whose input file is still at the provider, so that it can be used again."""
    desk = Desk(folder, ScriptedProvider(), **options)
    content = {}
    keep = desk.provider.delete

    async def delete(file_id):
        content[file_id] = desk.provider.uploads[file_id]
        return await keep(file_id)

    desk.provider.delete = delete
    run = await desk.drive()
    desk.provider.delete = keep
    assert run.state is RunState.FINISHED
    desk.provider.uploads.update(content)
    return desk


async def test_all_is_well_after_a_plain_run(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider())
    await desk.drive()

    audit = await examined(desk, fix=True)

    assert (audit.findings, audit.left, audit.batches) == ((), 0, 1)


async def test_an_unknown_batch_of_a_finished_run_is_ended_booked_and_its_files_are_deleted(tmp_path):
    desk = await finished(tmp_path)
    before = await desk.status()
    remote = await create_again(desk)
    desk.provider.share_done, desk.provider.ends = 0.5, Phase.CANCELLED

    told = await examined(desk)
    assert kinds(told) == [Kind.UNKNOWN_BATCH, Kind.REMOTE_FILES]
    assert remote.id in told.findings[0].what
    assert told.left == 2

    audit = await examined(desk, fix=True)

    assert (audit.left, len(audit.findings)) == (0, 2)
    assert "0.00000675 USD, booked as wasted" in audit.findings[0].done
    _, extra = await batches(desk)
    assert (extra.state, extra.cost_pusd, extra.wasted_pusd) == (BatchState.FINALISED, 3 * PRICE, 3 * PRICE)
    after = await desk.status()
    assert after.state is RunState.FINISHED
    assert after.cost_pusd == before.cost_pusd + 3 * PRICE
    assert desk.provider.uploads == {}
    assert (await examined(desk, fix=True)).findings == ()


async def test_a_batch_that_was_to_be_sent_again_adopts_what_came_to_light(tmp_path):
    """The first create call was carried out long after it had been given up; the run is paused since."""

    class Late(ScriptedProvider):
        hidden = True

        async def create(self, *, input_file_id, endpoint, metadata):
            await super().create(input_file_id=input_file_id, endpoint=endpoint, metadata=metadata)
            raise ProviderUnavailable("no answer in time", ambiguous=True)

        async def find(self):
            if not self.hidden:
                async for remote in super().find():
                    yield remote
            elif desk.clock.now() - began > timedelta(seconds=69):
                # Nothing is there when it is believed; and somebody pauses the run.
                await pause(desk)

    desk = Desk(tmp_path, Late())
    began = desk.clock.now()
    run = await desk.drive()
    assert run.state is RunState.PAUSED
    (batch,) = await batches(desk)
    assert batch.state is BatchState.PLANNED
    desk.provider.hidden = False

    audit = await examined(desk, fix=True)

    assert kinds(audit) == [Kind.UNKNOWN_BATCH]
    assert "batch_1 is adopted" in audit.findings[0].done
    await desk.resume()
    assert (await desk.drive()).state is RunState.FINISHED
    assert len(desk.provider.batches) == 1
    assert (await desk.status()).wasted_pusd == 0


async def pause(desk):
    store = await desk.store()
    (run,) = await store.runs.list()
    if run.state is not RunState.PAUSED:
        await store.runs.record_event(
            run.run_no, RunEvent.PAUSED, now=desk.clock.now(), reason=PauseReason.USER
        )
    await store.close()


class Stuck(ScriptedProvider):
    """The first batch does not end by itself, and had done nothing when it is asked to."""

    async def poll(self, provider_batch_id):
        if provider_batch_id == "batch_1":
            return self._batch(provider_batch_id).remote
        return await super().poll(provider_batch_id)


async def in_progress(desk):
    """Drive until the batch is at the provider, then stop."""
    stop = asyncio.Event()
    created = desk.provider.create

    async def create(**asked):
        stop.set()
        return await created(**asked)

    desk.provider.create = create
    run = await desk.drive(stop=stop)
    desk.provider.create = created
    assert run.state is RunState.DRAINING
    (batch,) = await batches(desk)
    assert batch.state is BatchState.IN_PROGRESS


async def test_the_answers_of_a_completed_batch_that_nobody_knew_are_used_and_nothing_is_paid_again(tmp_path):
    desk = Desk(tmp_path, Stuck())
    await in_progress(desk)
    remote = await create_again(desk)
    await desk.provider.poll(remote.id)

    audit = await examined(desk, fix=True)

    assert audit.left == 0
    assert "batch_1 is asked to end" in audit.findings[0].done
    run = await desk.drive()
    assert run.state is RunState.FINISHED
    status = await desk.status()
    assert (status.succeeded, status.cost_pusd, status.wasted_pusd) == (6, 6 * PRICE, 0)
    assert set(desk.provider.executed.values()) == {1}
    assert len(desk.provider.batches) == 2
    assert [each["id"] for each in desk.outputs()] == [f"r{n}" for n in range(6)]


async def test_open_requests_of_a_settled_batch_wait_for_what_came_to_light(tmp_path):
    """The batch expired with half of it done. Before the rest is sent again, a second one turns up."""
    desk = Desk(tmp_path, ScriptedProvider(ends=Phase.EXPIRED, share_done=0.5))
    ended = desk.provider._end

    def then_pause(batch):
        ended(batch)
        desk.provider.ends, desk.provider.share_done = Phase.COMPLETED, 1.0

    desk.provider._end = then_pause
    content = {}
    fetch = desk.provider.fetch

    async def fetch_and_pause(file_id, to):
        content.update(desk.provider.uploads)
        await pause(desk)
        return await fetch(file_id, to)

    desk.provider.fetch = fetch_and_pause
    assert (await desk.drive()).state is RunState.PAUSED
    desk.provider.fetch = fetch
    desk.provider.uploads.update(content)
    remote = await create_again(desk)
    await desk.provider.poll(remote.id)

    audit = await examined(desk, fix=True)

    assert audit.left == 0
    (_, extra) = await batches(desk)
    assert (await desk.status()).in_batch == 3
    await desk.resume()
    assert (await desk.drive()).state is RunState.FINISHED
    status = await desk.status()
    # Nine answers were paid, six were needed: the second batch had answered everything.
    assert (status.succeeded, status.cost_pusd, status.wasted_pusd) == (6, 9 * PRICE, 3 * PRICE)
    assert len(desk.provider.batches) == 2
    (_, extra) = await batches(desk)
    assert (extra.succeeded, extra.cost_pusd, extra.wasted_pusd) == (3, 6 * PRICE, 3 * PRICE)


async def test_a_run_that_is_being_worked_on_is_left_alone(tmp_path):
    desk = await finished(tmp_path)
    await create_again(desk)
    store = await desk.store()
    now = desk.clock.now()
    (run,) = await store.runs.list()
    await store.runs.claim(run_id=run.run_id, token="elsewhere/1/x", now=now, until=now + TERM, idle=True)
    await store.close()

    audit = await examined(desk, fix=True)

    assert audit.left == 2
    assert "is being worked on; stop that worker" in audit.findings[0].advice
    assert len(await batches(desk)) == 1


async def test_what_belongs_to_another_home_is_left_alone(tmp_path):
    """The other home runs the same task over the same paths: its run and batches are called the same."""
    provider = Stuck()
    mine = Desk(tmp_path, provider, home=tmp_path / "mine")
    other = Desk(tmp_path, provider, home=tmp_path / "other")
    await in_progress(other)
    other.clock.advance(timedelta(seconds=1))
    mine.clock.advance(timedelta(seconds=2))
    await mine.drive()
    assert await mine.run_id() == await other.run_id()
    files = set(provider.uploads)
    assert len(files) == 1

    audit = await examined(mine, fix=True)

    assert kinds(audit) == [Kind.UNSURE_BATCH]
    assert (audit.left, set(provider.uploads)) == (1, files)
    assert provider.batches["batch_1"].remote.phase is Phase.VALIDATING
    assert len(await batches(mine)) == 1


async def test_uploads_that_no_batch_has_recorded_are_deleted_and_kept_ones_are_not(tmp_path):
    for keep in (False, True):
        folder = tmp_path / str(keep)
        folder.mkdir()
        desk = Desk(folder, ScriptedProvider(), keep_remote_files=keep)
        run = await desk.drive()
        before = set(desk.provider.uploads)
        name = upload_name(f"{run.run_id}.b1", mark_of(run.run_id, run.created_at))
        await desk.provider.upload(BytesIO(b"{}\n"), filename=name)
        await desk.provider.upload(BytesIO(b"{}\n"), filename=upload_name(f"{run.run_id}.b1", "0123abcd"))
        await desk.provider.upload(BytesIO(b"{}\n"), filename="somebody.jsonl")

        audit = await examined(desk, fix=True)

        assert (kinds(audit), audit.left) == ([] if keep else [Kind.REMOTE_FILES], 0)
        assert len(desk.provider.uploads) == len(before) + (3 if keep else 2)


async def test_a_refused_batch_leaves_no_file_behind(tmp_path):
    class Refuses(ScriptedProvider):
        async def create(self, *, input_file_id, endpoint, metadata):
            raise RequestRefused("no", status=400, code="invalid")

    desk = Desk(tmp_path, Refuses(), rows=[{"id": 1, "text": "one"}])
    await desk.drive()

    assert (await desk.status()).failed == 1
    assert desk.provider.uploads == {}
    assert (await examined(desk)).findings == ()


async def test_a_cancelled_run_leaves_no_file_behind(tmp_path):
    class Busy(ScriptedProvider):
        async def create(self, *, input_file_id, endpoint, metadata):
            store = await desk.store()
            (run,) = await store.runs.list()
            await store.runs.record_wish(run.run_no, Wish.CANCEL)
            await store.close()
            raise RateLimited("later", retry_after=1)

    desk = Desk(tmp_path, Busy())
    run = await desk.drive()

    assert run.state is RunState.CANCELLED
    assert desk.provider.uploads == {}


async def test_a_provider_without_lists_is_said_to_have_none(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(searchable=False))
    await desk.drive()

    audit = await examined(desk, fix=True)

    assert "its batches cannot be searched" in audit.provider
    assert "its files cannot be listed" in audit.provider
    assert (audit.findings, audit.asked) == ((), True), "that is all that it can tell"


@pytest.mark.parametrize("call", ["find", "files"])
async def test_a_list_that_could_not_be_had_is_not_taken_for_an_empty_one(tmp_path, call):
    class Failing(ScriptedProvider):
        failing = False

        async def find(self):
            if self.failing and call == "find":
                raise ProviderUnavailable("502", ambiguous=False)
            async for each in super().find():
                yield each

        async def files(self):
            if self.failing and call == "files":
                raise ProviderUnavailable("502", ambiguous=False)
            async for each in super().files():
                yield each

    desk = Desk(tmp_path, Failing())
    await desk.drive()
    assert (await examined(desk)).asked
    desk.provider.failing = True

    audit = await examined(desk)

    assert (audit.findings, audit.asked) == ((), False)
    assert "502" in audit.provider


async def test_files_that_the_server_cannot_delete_are_told_and_left(tmp_path):
    desk = await finished(tmp_path)

    async def delete(file_id):
        raise Unsupported("no such call")

    desk.provider.delete = delete

    audit = await examined(desk, fix=True)

    assert kinds(audit) == [Kind.REMOTE_FILES]
    assert (audit.left, audit.findings[0].advice) == (1, "no such call")


async def test_folders_of_unknown_runs_go_only_if_nothing_in_them_was_paid_for(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider())
    await desk.drive()
    spool = desk.home / "spool"
    (spool / "never-0000" / "requests").mkdir(parents=True)
    (spool / "paid-0000" / "results").mkdir(parents=True)
    (spool / "paid-0000" / "results" / "1.output.jsonl").write_text(json.dumps({}))

    audit = await examined(desk, fix=True)

    assert kinds(audit) == [Kind.LOST_FOLDER, Kind.LOST_FOLDER]
    assert audit.left == 1
    assert not (spool / "never-0000").exists()
    assert (spool / "paid-0000").exists()


async def test_an_extra_that_takes_its_time_is_booked_by_the_next_fix(tmp_path):
    desk = await finished(tmp_path)
    await create_again(desk)
    cancelled, polled = desk.provider.cancel, desk.provider.poll
    slow = True

    async def cancel(provider_batch_id):
        return None if slow else await cancelled(provider_batch_id)

    async def poll(provider_batch_id):
        return desk.provider.batches[provider_batch_id].remote if slow else await polled(provider_batch_id)

    desk.provider.cancel, desk.provider.poll = cancel, poll

    first = await examined(desk, fix=True)
    assert "asked to end; repeat this" in first.findings[0].advice
    assert first.left == 1
    slow = False
    told = await examined(desk)
    assert kinds(told) == [Kind.UNBOOKED_EXTRA, Kind.REMOTE_FILES]

    audit = await examined(desk, fix=True)

    assert (len(audit.findings), audit.left) == (2, 0)
    assert [each.state for each in await batches(desk)] == [BatchState.FINALISED] * 2


# Every second boundary: dying after one call is dying before the next.
@pytest.mark.parametrize(
    "first", [1, *(pytest.param(first, marks=pytest.mark.exhaustive) for first in (3, 5, 7))]
)
async def test_mending_goes_on_wherever_the_process_dies(tmp_path, first):
    for at in itertools.count(first, 8):
        folder = tmp_path / str(at)
        folder.mkdir()
        desk = await finished(folder)
        before = await desk.status()
        await create_again(desk)
        died = None
        try:
            await examined(desk, fix=True, plan=CrashPlan(at))
        except Crash as crash:
            died = str(crash)
        # A dead process's lease on another machine ends by itself; on this one it is seen at once.
        desk.clock.advance(TERM)

        audit = await examined(desk, fix=True)

        assert audit.left == 0, died
        assert (await examined(desk)).findings == (), died
        _, extra = await batches(desk)
        bill = (sum(desk.provider.executed.values()) - 6) * PRICE
        assert (extra.cost_pusd, extra.wasted_pusd) == (bill, bill), died
        assert (await desk.status()).cost_pusd == before.cost_pusd + bill, died
        assert desk.provider.uploads == {}, died
        if died is None:
            assert at > 40
            return


async def test_what_needs_a_person_is_left_with_advice(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider())
    run = await desk.drive()
    (batch,) = await batches(desk)
    spool = desk.home / "spool" / run.run_id
    (spool / "results" / f"{batch.batch_no}.output.jsonl").unlink()
    (spool / "outputs" / f"{batch.batch_no}.arrow").unlink()
    with sqlite3.connect(desk.home / "nightmail.db") as database:
        database.execute("UPDATE tallies SET n = n + 1 WHERE kind = 'state' AND name = 'succeeded'")
    database.close()

    audit = await examined(desk, fix=True)

    assert kinds(audit) == [Kind.COUNTS, Kind.SPOOL_FILE, Kind.OUTPUTS]
    assert audit.left == 3


async def test_a_batch_in_doubt_is_left_to_a_worker(tmp_path):
    stop = asyncio.Event()

    class Silent(ScriptedProvider):
        async def create(self, *, input_file_id, endpoint, metadata):
            await super().create(input_file_id=input_file_id, endpoint=endpoint, metadata=metadata)
            stop.set()
            raise ProviderUnavailable("no answer in time", ambiguous=True)

    desk = Desk(tmp_path, Silent())
    await desk.drive(stop=stop)

    audit = await examined(desk, fix=True)

    assert kinds(audit) == [Kind.DOUBT]
    assert "--adopt" in audit.findings[0].advice
    assert (await desk.drive()).state is RunState.FINISHED
    assert len(desk.provider.batches) == 1
