"""What a person can ask of a home, after real runs with a scripted provider."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Literal

import msgspec
import pytest

import nightmail
from nightmail.core.batch import Phase
from nightmail.core.failure import Reason
from nightmail.core.request import RequestState
from nightmail.core.run import Run
from nightmail.errors import ConfigError, UnknownBatch, UnknownRecord
from nightmail.providers.base import BatchError
from nightmail.spool import Spool
from nightmail.stages import parts
from nightmail.stores.base import Lease, Seen, Store
from nightmail.testing.desk import Desk
from nightmail.testing.faults import Crash, TroublePlan
from nightmail.testing.provider import ScriptedProvider, completion, row
from nightmail.worker import record as records
from nightmail.worker.inquiries import Inquiries


class Colour(nightmail.Task):
    model = "gpt-4o-mini"
    output = Literal["red", "green"]

    def build(self, record: Any) -> str:
        return f"colour of {record['text']}?"


LABELLED = {
    "type": "object",
    "properties": {"label": {"type": "string"}},
    "required": ["label"],
    "additionalProperties": False,
}
THING = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "year": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "parts": {"type": "array", "items": LABELLED},
    },
    "required": ["name", "year", "tags", "parts"],
    "additionalProperties": False,
}


class Thing(nightmail.Task):
    """Outputs with texts at every depth."""

    model = "gpt-4o-mini"
    output = THING

    def build(self, record: Any) -> str:
        return f"what is {record['text']}?"


def seq_of(custom_id: str) -> int:
    return int(custom_id.rpartition("_")[2])


@contextlib.asynccontextmanager
async def asking(desk: Desk) -> AsyncIterator[tuple[Inquiries, Store, Run]]:
    store = await desk.store()
    try:
        run = (await store.runs.list())[-1]
        yield Inquiries(store, Spool(desk.home / "spool"), desk.clock), store, run
    finally:
        await store.close()


def blue_at_first(custom_id: str, body: Any, times: int) -> Any:
    label = "blue" if seq_of(custom_id) in (2, 3) and (times == 1 or seq_of(custom_id) == 3) else "red"
    return row(custom_id, body=completion(json.dumps({"label": label})))


async def test_a_record_shows_each_attempt_with_what_was_sent_what_came_and_why_it_did_not_do(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(blue_at_first), task=Colour)
    await desk.drive()
    async with asking(desk) as (ask, _, run):
        mended = await ask.record(run.run_id, 2)
        first, second = mended.attempts
        assert (first.number, first.outcome, first.reason) == (1, "succeeded", Reason.SCHEMA)
        assert [each["role"] for each in first.request["body"]["messages"]] == ["user"]
        assert "blue" in json.dumps(first.answer)
        assert first.message is not None
        roles = [each["role"] for each in second.request["body"]["messages"]]
        assert roles == ["user", "assistant", "user"], "the line that was sent the second time is another"
        assert (second.outcome, second.reason, second.message) == ("succeeded", None, None)
        assert "red" in json.dumps(second.answer)
        assert second.ended_at is not None
        assert (mended.state, mended.output) == (RequestState.SUCCEEDED, {"output": "red"})
        assert first.cost_pusd is not None
        assert second.cost_pusd is not None
        assert mended.cost_pusd == first.cost_pusd + second.cost_pusd
        assert (second.input_tokens, mended.input_tokens) == (10, 20)

        failed = await ask.record(run.run_id, 3)
        assert (failed.state, failed.reason, failed.output) == (RequestState.FAILED, Reason.SCHEMA, None)
        assert [each.reason for each in failed.attempts] == [Reason.SCHEMA] * run.spec.max_attempts
        assert failed.attempts[0].batch_id != failed.attempts[-1].batch_id


async def test_without_texts_a_record_tells_nothing_that_was_said(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(blue_at_first), task=Colour)
    await desk.drive()
    async with asking(desk) as (ask, _, run):
        for number in (1, 2, 3):
            shown = str(msgspec.to_builtins(await ask.record(run.run_id, number, texts=False)))
            assert "colour of" not in shown
            assert "blue" not in shown
            assert "red" not in shown.replace("required", "")
            assert "schema" in shown or number == 1


@contextlib.asynccontextmanager
async def dying_at(desk: Desk, call: str) -> AsyncIterator[tuple[Inquiries, Store, Run]]:
    """A run whose process died when it was about to make a call."""
    with pytest.raises(Crash):
        await desk.drive(TroublePlan(1, lambda: Crash(call), lambda each: each == call, times=None))
    async with asking(desk) as open_home:
        yield open_home


async def test_a_record_that_is_under_way_has_an_attempt_without_an_outcome(tmp_path):
    async with dying_at(Desk(tmp_path, ScriptedProvider()), "provider.poll") as (ask, _, run):
        whole = await ask.record(run.run_id, 1)
        assert (whole.state, whole.output) == (RequestState.IN_BATCH, None)
        (attempt,) = whole.attempts
        assert (attempt.outcome, attempt.batch_id) == (None, whole.batch_id)
        assert "thing 0" in str(attempt.request)


async def test_a_record_whose_answer_was_judged_anew_has_no_attempt_that_was_not_made(tmp_path):
    class Strict(Colour):
        def check(self, output: Any, record: Any) -> None:
            raise nightmail.Rejected("a bug in this check")

    red = completion(json.dumps({"label": "red"}))
    provider = ScriptedProvider(lambda custom_id, body, times: row(custom_id, body=red))
    desk = Desk(tmp_path, provider, task=Strict, max_attempts=2)
    await desk.drive()
    Strict.check = Colour.check
    assert await desk.revalidate() == 6
    async with asking(desk) as (ask, _, run):
        whole = await ask.record(run.run_id, 3)
        assert whole.state is RequestState.SUCCEEDED
        assert [each.reason for each in whole.attempts] == [Reason.CHECK, Reason.CHECK]


async def test_a_file_that_is_gone_hides_nothing_else_of_a_record(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider())
    await desk.drive()
    async with asking(desk) as (ask, _, run):
        whole = await ask.record(run.run_id, 1)
        for path in (desk.home / "spool" / run.run_id / "requests").iterdir():
            path.unlink()
        again = await ask.record(run.run_id, 1)
        assert again.answer == whole.answer
        assert again.request.startswith("(not readable: ")


@pytest.mark.parametrize("stretch", [1, 4, 100])
async def test_a_key_leads_to_its_record_wherever_it_is(tmp_path, monkeypatch, stretch):
    monkeypatch.setattr(records, "STRETCH", stretch)
    desk = Desk(tmp_path, ScriptedProvider())
    await desk.drive()
    async with asking(desk) as (ask, _, run):
        assert [await ask.number_of(run.run_id, f"r{n}") for n in range(6)] == [1, 2, 3, 4, 5, 6]
        for nobody in ("r6", "1", "", "r"):
            with pytest.raises(UnknownRecord):
                await ask.number_of(run.run_id, nobody)
        with pytest.raises(UnknownRecord):
            await ask.record(run.run_id, 7)


async def test_keys_that_are_numbers_are_found_as_they_are_written(tmp_path):
    rows = [{"id": 40 + n * 7, "text": f"thing {n}"} for n in range(4)]
    desk = Desk(tmp_path, ScriptedProvider(), rows=rows)
    await desk.drive()
    async with asking(desk) as (ask, _, run):
        assert await ask.number_of(run.run_id, "47") == 2
        found = await ask.search_keys("4", beginning=True)
        assert [hit.key for hit in found.hits] == [40, 47]
        assert (await ask.search_keys("four", beginning=True)).hits == []


async def test_keys_are_searched_the_newest_run_first_and_go_on_where_they_stopped(tmp_path):
    provider, ids = ScriptedProvider(), []
    for name in ("one", "two", "three"):
        desk = Desk(tmp_path, provider, output=f"{name}.jsonl", home=tmp_path / "home")
        ids.append((await desk.drive()).run_id)
    async with asking(desk) as (ask, _, _run):
        whole = await ask.search_keys("r1")
        assert [(hit.run_id, hit.record, hit.key) for hit in whole.hits] == [
            (each, 2, "r1") for each in ids[::-1]
        ]
        assert (whole.next, whole.newest, whole.oldest) == (None, ids[2], ids[0])
        assert len((await ask.search_keys("r", beginning=True)).hits) == 18
        assert [hit.run_id for hit in (await ask.search_keys("r1", run_id=ids[0])).hits] == [ids[0]]
        # Without time it looks at one stretch, and says where to go on.
        step = await ask.search_keys("r1", seconds=0)
        found = list(step.hits)
        while step.next is not None:
            step = await ask.search_keys("r1", start=str(step.next), seconds=0)
            found += step.hits
        assert found == list(whole.hits)
        with pytest.raises(ConfigError):
            await ask.search_keys("r1", start="somewhere")


def things(custom_id: str, body: Any, times: int) -> Any:
    number = seq_of(custom_id)
    said = {
        "name": f"Zebra {number}" if number == 2 else "horse",
        "year": 1900 + number,
        "tags": [],
        "parts": [],
    }
    if number == 3:
        said["tags"] = ["plain", "a ZEBRA's stripe"]
    if number == 5:
        said["parts"] = [{"label": "leg"}, {"label": "tail of a zebra"}]
    return row(custom_id, body=completion(json.dumps(said)))


async def test_outputs_are_searched_at_every_depth_and_shown_with_what_is_around(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "ROWS_AT_ONCE", 2)
    desk = Desk(tmp_path, ScriptedProvider(things), task=Thing)
    await desk.drive()
    async with asking(desk) as (ask, _, run):
        found = await ask.search_outputs("zebra")
        assert {hit.record: hit.excerpt for hit in found.hits} == {
            2: ("", "Zebra", " 2"),
            3: ("a ", "ZEBRA", "'s stripe"),
            5: ("tail of a ", "zebra", ""),
        }
        assert found.next is None
        step = await ask.search_outputs("zebra", seconds=0)
        hits = list(step.hits)
        while step.next is not None:
            step = await ask.search_outputs("zebra", start=str(step.next), seconds=0)
            hits += step.hits
        assert hits == list(found.hits)
        assert (await ask.search_outputs("a.*a", run_id=run.run_id)).hits == []
        assert (await ask.search_outputs("horse", tenant="somebody else")).hits == []


async def test_only_rows_that_count_are_found_in_outputs(tmp_path):
    """A part that a crash left behind has rows that the store gave to no batch."""
    desk = Desk(tmp_path, ScriptedProvider())
    async with dying_at(desk, "store.requests.record_outcomes") as (ask, _, run):
        assert list((desk.home / "spool" / run.run_id / "outputs").iterdir())
        assert (await ask.search_outputs("fine")).hits == []
    await desk.drive()
    async with asking(desk) as (ask, _, _run):
        assert len((await ask.search_outputs("fine")).hits) == 6


async def test_a_batch_shows_its_looks_its_events_and_the_object_that_came_last(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(blue_at_first, polls=3), task=Colour)
    await desk.drive()
    async with asking(desk) as (ask, store, run):
        batches = await store.batches.list(run.run_no)
        whole = await ask.batch(batches[0].batch_id)
        assert [(each.status, each.total) for each in whole.looks] == [("validating", 6), ("completed", 6)]
        assert whole.looks == sorted(whole.looks)
        assert (whole.run_id, whole.tenant, whole.doubles) == (run.run_id, None, [])
        assert whole.object_seen_at == whole.looks[-1].at
        assert [(each.outcome, each.reason, each.requests) for each in whole.causes] == [
            ("succeeded", Reason.SCHEMA, 2)
        ]
        assert {"batch_submitted", "batch_ended"} <= {each.name for each in whole.events}
        assert {each.batch_id for each in whole.events} == {batches[0].batch_id}
        with pytest.raises(UnknownBatch):
            await ask.batch("nobody")


async def test_looks_that_show_hardly_anything_new_are_not_kept(tmp_path):
    rows = [{"id": f"r{n}", "text": f"thing {n}"} for n in range(400)]
    desk = Desk(tmp_path, ScriptedProvider(), rows=rows)
    async with dying_at(desk, "provider.poll") as (ask, store, run):
        (batch,) = await store.batches.list(run.run_no)
        (lease,) = await store.runs.leases()
        for n in range(200):
            desk.clock.advance(timedelta(seconds=10))
            seen = Seen("in_progress", 400, n, 0, f'{{"n":{n}}}')
            now = desk.clock.now()
            batch = await store.batches.record(Lease(*lease[:2]), batch, None, now=now, seen=seen)
        whole = await ask.batch(batch.batch_id)
        # A hundredth of 400 each.
        assert [each.completed for each in whole.looks] == [None, *range(0, 200, 4)]
        assert whole.object == '{"n":199}'


async def test_an_object_that_is_very_long_is_cut_off(tmp_path):
    class Talking(ScriptedProvider):
        async def poll(self, provider_batch_id: str) -> Any:
            told = await super().poll(provider_batch_id)
            return msgspec.structs.replace(told, raw=msgspec.Raw(json.dumps({"id": "x" * 100_000}).encode()))

    desk = Desk(tmp_path, Talking())
    await desk.drive()
    async with asking(desk) as (ask, store, run):
        (batch,) = await store.batches.list(run.run_no)
        kept = (await ask.batch(batch.batch_id)).object
        assert kept is not None
        assert kept.startswith('{"id": "xxx')
        assert len(kept) == 32_000


async def test_failures_are_told_by_run_and_reason_with_examples(tmp_path):
    def answer(custom_id: str, body: Any, times: int) -> Any:
        number = seq_of(custom_id)
        if number in (2, 5):
            return row(custom_id, status=400, body={"error": {"message": "no such parameter"}})
        return blue_at_first(custom_id, body, times)

    desk = Desk(tmp_path, ScriptedProvider(answer), task=Colour)
    await desk.drive()
    async with asking(desk) as (ask, _, run):
        (failing,) = await ask.failing_runs()
        assert failing.run.run_id == run.run_id
        assert failing.reasons == {Reason.INVALID: 2, Reason.SCHEMA: 1}
        assert [(each.reason, each.record) for each in failing.examples] == [
            (Reason.INVALID, 2), (Reason.SCHEMA, 3), (Reason.INVALID, 5),
        ]  # fmt: skip
        assert "no such parameter" in (failing.examples[0].message or "")
        (bound,) = await ask.failing_runs(reason=Reason.INVALID, examples=1)
        assert [(each.reason, each.record) for each in bound.examples] == [(Reason.INVALID, 2)]
        assert await ask.failing_runs(reason=Reason.CHECK) == []
        assert [each[:] for each in await ask.reasons()] == [(Reason.INVALID, 2, 1), (Reason.SCHEMA, 1, 1)]
        assert [each.seq for each in await ask.failed(run.run_id, after=2)] == [3, 5]
        assert await ask.failing_runs(tenant="somebody else") == []
        assert await ask.failing_runs(before=run.run_id) == []


async def test_batches_that_failed_are_told_with_the_providers_words(tmp_path):
    errors = (BatchError(code="token_limit_exceeded", message="Enqueued token limit reached. Limit: 50,000"),)
    desk = Desk(tmp_path, ScriptedProvider(ends=Phase.FAILED, errors=errors))
    async with dying_at(desk, "store.batches.record_refusal") as (ask, _, run):
        (troubled,) = await ask.troubled_batches()
        assert (troubled.run_id, troubled.batch.error_code) == (run.run_id, "token_limit_exceeded")
        assert await ask.troubled_batches(before=troubled.batch.batch_id) == []
        assert await ask.troubled_batches(tenant="somebody else") == []


async def test_a_queue_shows_what_is_in_it_its_limit_and_where_that_is_from(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(), quotas={"gpt-4o-mini": 90_000})
    async with dying_at(desk, "provider.poll") as (ask, store, run):
        (quota,) = await ask.quotas()
        assert (quota.queue.model, quota.queue.batches, quota.queue.requests) == ("gpt-4o-mini", 1, 6)
        assert (quota.limit, quota.given, quota.queue.limit_tokens) == (90_000, (90_000, 90_000), None)
        assert quota.uses == {None: quota.queue.tokens}
        assert quota.waiting == []
        (batch,) = await store.batches.list(run.run_no)
        (lease,) = await store.runs.leases()
        now = desk.clock.now()
        await store.batches.record_refusal(Lease(*lease[:2]), batch, said=50_000, now=now)
        (quota,) = await ask.quotas()
        assert (quota.limit, quota.queue.limit_tokens, quota.queue.learned_at) == (50_000, 50_000, now)
        desk.clock.advance(timedelta(hours=2))
        assert (await ask.quotas())[0].limit == 60_000, "a little more is dared each hour"
