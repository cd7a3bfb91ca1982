"""A scheduled run asks what is new or changed, and nothing else."""

import sqlite3

import pytest

from nightmail.core.run import RunState
from nightmail.core.schedule import ScheduleSpec
from nightmail.errors import SourceError
from nightmail.stages import digest
from nightmail.stores.sqlite import SqliteStore
from nightmail.testing.clock import START
from nightmail.testing.desk import Desk, Plain
from nightmail.testing.faults import Crash, TroublePlan
from nightmail.testing.provider import ScriptedProvider, completion, row


class Nights:
    """The runs of one schedule, one after the other, each over the rows that it is given."""

    def __init__(self, folder, number):
        self.folder, self.number, self.nights = folder, number, 0

    def night(self, rows, *, provider=None, task=Plain, **travel):
        self.nights += 1
        provider = provider or ScriptedProvider()
        provider.account = f"night:{self.nights}"  # each counts its batches from 1
        return Desk(
            self.folder,
            provider,
            task=task,
            rows=rows,
            output=f"night-{self.nights}.jsonl",
            schedule_no=self.number,
            **{"only_new": True, **travel},
        )

    async def asked(self, rows, **changes):
        """The keys that one night asks for."""
        desk = self.night(rows, **changes)
        run = await desk.drive()
        assert run.state is RunState.FINISHED
        status = await desk.status()
        assert status.records + status.unchanged == len(rows)
        assert status.records == sum(len(each) for each in (desk.outputs(), desk.failures()))
        return [each["id"] for each in desk.outputs()]


@pytest.fixture
async def nights(tmp_path):
    store = await SqliteStore.open(tmp_path / "home")
    spec = ScheduleSpec(task="t:T", source="rows.jsonl", output="{date}.jsonl", cron="0 2 * * *")
    schedule = await store.schedules.record("nightly", spec, now=START)
    await store.close()
    return Nights(tmp_path, schedule.schedule_no)


def things(**texts):
    return [{"id": key, "text": text} for key, text in texts.items()]


async def test_only_what_is_new_or_changed_is_asked(nights):
    assert await nights.asked(things(a="one", b="two")) == ["a", "b"]
    assert await nights.asked(things(a="one", b="two")) == []
    assert await nights.asked(things(c="new", a="one", b="three", d="last")) == ["c", "b", "d"]


async def test_digests_that_only_propose_have_no_say_in_what_is_unchanged(nights, monkeypatch):
    """Nothing is left of the request that was delivered, to compare with."""
    monkeypatch.setattr(digest, "xxh3_64_digest", lambda text, seed: b"\7" * 8)
    await nights.asked(things(a="one", b="two"))
    assert await nights.asked(things(a="one", b="three", c="one")) == ["b", "c"]


async def test_what_the_request_does_not_use_may_change(nights):
    await nights.asked([{"id": "a", "text": "one", "fetched": "monday"}])
    assert await nights.asked([{"id": "a", "text": "one", "fetched": "tuesday"}]) == []


async def test_a_task_that_asks_otherwise_asks_everything_again(nights):
    class Other(Plain):
        def build(self, record):
            return f"say something else about {record['text']}"

    await nights.asked(things(a="one", b="two"))
    assert await nights.asked(things(a="one", b="two"), task=Other) == ["a", "b"]


async def test_what_went_back_to_what_it_was_is_a_change(nights):
    await nights.asked(things(a="one"))
    assert await nights.asked(things(a="two")) == ["a"]
    assert await nights.asked(things(a="one")) == ["a"]


async def test_what_has_failed_is_asked_again_the_next_night(nights):
    refusing = ScriptedProvider(
        answer=lambda custom_id, body, times: row(
            custom_id, body=completion("fine"), status=400 if "bad" in str(body) else 200
        )
    )
    assert await nights.asked(things(a="good", b="bad"), provider=refusing) == ["a"]
    assert await nights.asked(things(a="good", b="bad")) == ["b"]


async def test_another_schedule_and_other_runs_know_nothing_of_it(nights, tmp_path):
    await nights.asked(things(a="one"))
    assert await nights.asked(things(a="one"), only_new=False) == ["a"]
    store = await SqliteStore.open(tmp_path / "home")
    spec = ScheduleSpec(task="t:T", source="rows.jsonl", output="{date}.jsonl", cron="0 2 * * *")
    other = await store.schedules.record("other", spec, now=START)
    await store.close()
    nights.number = other.schedule_no
    assert await nights.asked(things(a="one")) == ["a"]


async def test_records_without_a_key_are_refused_before_anything_is_sent(nights):
    provider = ScriptedProvider()
    with pytest.raises(SourceError, match=r"no key.*--key.*--every-record"):
        await nights.night([{"text": "one"}], provider=provider).drive()
    assert provider.uploads == {}


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "call",
    [
        "delivered.read", "delivered.record_contents", "requests.record_shard",
        "delivered.record", "runs.record_delivered",
    ],
)  # fmt: skip
async def test_wherever_the_process_dies_what_was_delivered_is_remembered(nights, call, late):
    first = things(a="one", b="two")
    both = [*first, {"id": "c", "text": "new"}]
    await nights.asked(first)
    provider = ScriptedProvider()
    desk = nights.night(both, provider=provider)
    plan = TroublePlan(at=1, error=Crash, matches=lambda each: each == f"store.{call}", times=None, late=late)
    with pytest.raises(Crash):
        await desk.drive(plan)

    run = await desk.drive()

    assert (run.state, [each["id"] for each in desk.outputs()]) == (RunState.FINISHED, ["c"])
    assert list(provider.executed.values()) == [1]
    assert await nights.asked(both) == []


async def test_a_removed_schedule_leaves_its_runs_alone(nights, tmp_path):
    store = await SqliteStore.open(tmp_path / "home")
    desk = nights.night(things(a="one"))
    assert await store.schedules.delete("nightly")
    await store.close()
    assert (await desk.drive()).state is RunState.FINISHED
    with sqlite3.connect(tmp_path / "home" / "nightmail.db") as database:
        assert database.execute("SELECT count(*) FROM delivered").fetchone() == (0,)
    database.close()
