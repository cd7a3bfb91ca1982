"""Schedules start each occurrence once, whoever looks, and whatever dies in between."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta

import pytest

from nightmail.config import read
from nightmail.core.channel import Channel
from nightmail.core.lifecycle import RunEvent
from nightmail.core.run import RunState, Wish
from nightmail.errors import ConfigError, SinkError, TaskError
from nightmail.stores.sqlite import SqliteStore
from nightmail.testing.clock import START, ManualClock
from nightmail.testing.desk import GROUPS
from nightmail.testing.faults import Crash, Faulty, TroublePlan
from nightmail.worker import timetable, watch
from nightmail.worker.lease import TERM
from nightmail.worker.noticing import Noticing
from nightmail.worker.schedules import Schedules
from nightmail.worker.timetable import Timetable

TASK = """
import nightmail


class Colour(nightmail.Task):
    model = "gpt-4o-mini"

    def build(self, record):
        return record["text"]
"""
SETTLED = watch.SETTLE


class Home:
    """A home with a task and an input; `look` is one look of a process that has just begun."""

    def __init__(self, folder):
        self.folder = folder
        self.clock = ManualClock()
        self.settings = read(home=folder / "home", api_key="none", environment={})
        (folder / "colour.py").write_text(TASK)
        self.write("rows.jsonl", "one")
        (folder / "out").mkdir()

    def write(self, name, *texts):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps({"id": text, "text": text}) + "\n" for text in texts))
        return path

    async def open(self):
        self.store = await SqliteStore.open(self.settings.home)
        self.schedules = Schedules(self.settings, self.store, self.clock)
        return self

    async def add(self, name="nightly", **changes):
        asked = {"source": self.folder / "rows.jsonl", "cron": "0 2 * * *", **changes}
        output = asked.pop("output", self.folder / "out" / "{date}.jsonl")
        return await self.schedules.add(name, f"{self.folder}/colour.py:Colour", output, **asked)

    def timetable(self):
        return Timetable(self.schedules, self.store, self.clock)

    async def look(self):
        await self.timetable().look()

    async def runs(self):
        return await self.store.runs.list()

    async def finish(self, run):
        """As a worker would."""
        now = self.clock.now()
        lease = await self.store.runs.claim(run_id=run.run_id, token="w", now=now, until=now + TERM)
        await self.store.runs.record_event(run.run_no, RunEvent.SEALED, now=now, lease=lease)
        await self.store.runs.record_delivered(lease, now=now)
        await self.store.runs.record_event(run.run_no, RunEvent.COMPLETED, now=now, lease=lease)
        await self.store.runs.delete_lease(lease)

    def at(self, **time):
        self.clock.advance(timedelta(**time))


@pytest.fixture
async def home(tmp_path):
    home = await Home(tmp_path).open()
    yield home
    await home.store.close()


async def test_nothing_starts_before_its_time_and_what_is_due_starts_once(home):
    added = await home.add(budget="5", deadline="6h", quotas={"gpt-4o-mini": 10_000})
    assert added.next_due_at == START.replace(day=22, hour=2)
    await home.look()
    assert await home.runs() == []

    home.at(hours=18)
    await home.look()
    await home.look()

    (run,) = await home.runs()
    assert run.spec.output == str(home.folder / "out" / "2026-11-22.jsonl")
    assert (run.spec.budget_usd, run.spec.deadline_seconds) == ("5", 6 * 3600)
    assert (run.spec.quotas, run.spec.only_new) == ({"gpt-4o-mini": 10_000}, True)
    (status,) = await home.schedules.list()
    assert status.next_due_at == START.replace(day=23, hour=2)
    assert [each.run_id for each in status.occurrences] == [run.run_id]
    (event,) = await home.store.events.list(run.run_no, limit=5)
    assert (event.name, event.detail["schedule"]) == ("run_scheduled", "nightly")


async def test_its_time_and_its_names_are_those_of_its_zone(home):
    await home.add(time_zone="Asia/Kolkata", output=home.folder / "out" / "{schedule}-{date}T{time}.csv")
    home.at(hours=13)  # 21:00 UTC is 2:30 on the next day
    await home.look()
    (run,) = await home.runs()
    assert run.spec.output.endswith("/nightly-2026-11-22T0200.csv")


async def test_what_was_missed_is_caught_up_once(home):
    await home.add()
    home.at(days=4)
    await home.look()
    (run,) = await home.runs()
    assert run.spec.output.endswith("/2026-11-25.jsonl")
    await home.finish(run)
    await home.look()
    assert len(await home.runs()) == 1


async def test_an_occurrence_waits_for_the_run_before_it(home):
    await home.add()
    home.at(days=1)
    await home.look()
    (first,) = await home.runs()
    home.at(days=2)
    await home.look()
    assert len(await home.runs()) == 1
    await home.finish(first)
    await home.look()
    assert [run.spec.output[-16:] for run in await home.runs()] == ["2026-11-22.jsonl", "2026-11-24.jsonl"]


async def test_a_run_that_was_forgotten_because_nothing_was_sent_holds_nothing_up(home):
    await home.add()
    first = await home.schedules.start("nightly")
    assert await home.store.runs.delete_unsent(first.run_no)
    home.at(days=1)
    await home.look()
    assert [run.run_id for run in await home.runs()] != [first.run_id]


async def test_of_several_who_look_at_the_same_time_one_starts_it(home):
    await home.add()
    home.at(days=1)
    stores = [await SqliteStore.open(home.settings.home) for _ in range(4)]
    try:
        looks = [
            Timetable(Schedules(home.settings, store, home.clock), store, home.clock) for store in stores
        ]
        await asyncio.gather(*(each.look() for each in looks for _ in range(3)))
    finally:
        for store in stores:
            await store.close()
    (run,) = await home.runs()
    assert len(await home.store.events.list(run.run_no, limit=9)) == 1


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["schedules.claim", "runs.record", "schedules.record_started"])
async def test_wherever_the_process_dies_the_next_one_starts_the_same_run(home, call, late):
    await home.add()
    home.at(days=1)
    plan = TroublePlan(at=1, error=Crash, matches=lambda each: each == f"store.{call}", times=None, late=late)
    dying = Faulty(home.store, plan, home.clock, name="store", groups=GROUPS)
    with pytest.raises(Crash):
        await Timetable(Schedules(home.settings, dying, home.clock), dying, home.clock).look()

    home.write("rows.jsonl", "one", "and another that came meanwhile")
    await home.look()

    (run,) = await home.runs()
    (status,) = await home.schedules.list()
    assert [each.run_id for each in status.occurrences] == [run.run_id]


async def test_what_cannot_start_is_told_tried_again_and_holds_no_other_up(home):
    await home.add()
    await home.add("zz", source=home.write("other.jsonl", "x"))
    (home.folder / "rows.jsonl").unlink()
    home.at(days=1)
    looking = home.timetable()
    await looking.look()
    assert [run.spec.source_name[-11:] for run in await home.runs()] == ["other.jsonl"]
    (occurrence,) = (await home.schedules.read("nightly")).occurrences
    assert "rows.jsonl does not exist" in occurrence.message

    home.write("rows.jsonl", "one")
    await looking.look()
    assert len(await home.runs()) == 1, "it waits"
    home.clock.advance(timetable.AGAIN)
    await looking.look()
    (occurrence,) = (await home.schedules.read("nightly")).occurrences
    assert (occurrence.message, len(await home.runs())) == (None, 2)


async def test_a_fault_in_one_ends_neither_the_loop_nor_the_others(home, monkeypatch, caplog):
    await home.add("aa")
    await home.add("zz")
    home.at(days=1)
    begin = home.schedules.begin

    async def faulty(schedule, occurrence):
        if schedule.name == "aa":
            raise ZeroDivisionError("ours")
        return await begin(schedule, occurrence)

    monkeypatch.setattr(home.schedules, "begin", faulty)
    with caplog.at_level("WARNING", logger="nightmail"):
        await home.look()
    assert "ZeroDivisionError('ours')" in caplog.text
    assert len(await home.runs()) == 1


async def test_what_is_due_while_paused_is_not_caught_up(home):
    await home.add()
    assert (await home.schedules.pause("nightly")).next_due_at is None
    home.at(days=2)
    await home.look()
    assert (await home.schedules.resume("nightly")).next_due_at == START.replace(day=24, hour=2)
    await home.look()
    assert await home.runs() == []


async def test_started_by_hand_it_writes_a_file_beside_and_is_not_due_twice(home):
    await home.add()
    first = await home.schedules.start("nightly")
    assert (await home.schedules.start("nightly")).run_id == first.run_id, "that one is open"
    await home.finish(first)
    home.at(minutes=1)
    second = await home.schedules.start("nightly")
    assert first.spec.output == str(home.folder / "out" / "2026-11-21.jsonl")
    assert second.spec.output == str(home.folder / "out" / "2026-11-21-2.jsonl")


async def test_nobodys_file_is_replaced(home):
    (home.folder / "out" / "2026-11-21.jsonl").write_text("mine\n")
    await home.add()
    run = await home.schedules.start("nightly")
    assert run.spec.output.endswith("/2026-11-21-2.jsonl")


async def test_replaced_it_goes_by_the_new_times_and_keeps_its_number(home):
    await home.add()
    before = await home.store.schedules.read("nightly")
    with pytest.raises(ConfigError, match="--replace"):
        await home.add()
    home.at(hours=2)
    changed = await home.add(cron="0 9 * * *", replace=True)
    assert changed.next_due_at == START.replace(day=22, hour=9), "9:00 of today was before the change"
    assert (await home.store.schedules.read("nightly")).schedule_no == before.schedule_no


async def test_removed_it_starts_nothing_and_its_runs_stay(home):
    await home.add()
    run = await home.schedules.start("nightly")
    await home.schedules.remove("nightly")
    home.at(days=3)
    await home.look()
    assert [each.run_id for each in await home.runs()] == [run.run_id]
    with pytest.raises(ConfigError, match=r"no schedule 'nightly'.*none at all"):
        await home.schedules.remove("nightly")
    await home.store.runs.record_wish(run.run_no, Wish.CANCEL)
    assert (await home.store.runs.read(run.run_id)).state is RunState.OPEN


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cron": "0 2 * *"}, "4 fields"),
        ({"time_zone": "Europe/Nowhere"}, "no time zone"),
        ({"output": "answers.jsonl"}, r"put \{date\}"),
        ({"output": "{date}.docx"}, "ending of the output"),
        ({"watch": "/tmp"}, "either a source and a cron"),
        ({"cron": None}, "either a source and a cron"),
        ({"source": None, "watch": "/no/such", "cron": None}, "cannot be watched"),
        ({"source": "*.jsonl", "output": "{date}.jsonl"}, "read by the next run"),
        ({"source": None, "watch": ".", "cron": None, "output": "{date}.csv"}, "read by the next run"),
        ({"key": "name"}, "no field 'name' to be the key"),
        ({"budget": "much"}, "no amount of US dollars"),
        ({"mode": "fast"}, "no mode"),
        ({"colour": "red"}, "no option colour"),
        ({"name": "../up"}, "no name"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_when_it_is_added(home, changes, said):
    with pytest.raises((ConfigError, SinkError, TaskError), match=said):
        await home.add(**changes)
    assert await home.schedules.list() == []


async def test_records_without_a_key_are_refused_by_day(home):
    (home.folder / "rows.jsonl").write_text('{"text": "one"}\n')
    with pytest.raises(ConfigError, match=r"no key.*--key.*--every-record"):
        await home.add()
    await home.add(every_record=True)
    await home.add("later", source=home.folder / "not-there-yet.jsonl")


# A watched folder.


async def test_files_that_come_become_the_records_of_a_run(home):
    inbox = home.folder / "inbox"
    inbox.mkdir()
    await home.add(source=None, watch=inbox, cron=None)
    looking = home.timetable()
    await looking.look()
    home.write("inbox/b.jsonl", "b")
    home.write("inbox/a.jsonl", "a")
    (inbox / ".c.jsonl").write_text("half of")
    (inbox / "notes.txt").write_text("no records")
    (inbox / "empty.jsonl").touch()
    await looking.look()
    assert await home.runs() == []
    home.clock.advance(SETTLED)
    await looking.look()
    (run,) = await home.runs()
    assert [path[-7:] for path in run.spec.source_paths] == ["a.jsonl", "b.jsonl"]
    assert not run.spec.only_new, "every record of a new file is new"


async def test_a_file_that_still_grows_is_left_alone(home):
    inbox = home.folder / "inbox"
    inbox.mkdir()
    await home.add(source=None, watch=inbox, cron=None)
    looking = home.timetable()
    for texts in (["a"], ["a", "b"], ["a", "b", "c"]):
        home.write("inbox/rows.jsonl", *texts)
        await looking.look()
        home.clock.advance(SETTLED)
    assert await home.runs() == []
    await looking.look()
    home.clock.advance(SETTLED)
    await looking.look()
    assert len(await home.runs()) == 1


async def test_no_file_is_taken_twice_and_a_changed_one_is_another(home):
    inbox = home.folder / "inbox"
    inbox.mkdir()
    await home.add(source=None, watch=inbox, cron=None)
    first = home.write("inbox/a.jsonl", "a")

    async def two_looks():
        looking = home.timetable()  # another process
        await looking.look()
        home.clock.advance(SETTLED)
        await looking.look()
        runs = await home.runs()
        if runs and runs[-1].state is RunState.OPEN:
            await home.finish(runs[-1])
        return [list(run.spec.source_paths) for run in runs]

    assert await two_looks() == [[str(first)]]
    assert await two_looks() == [[str(first)]]
    second = home.write("inbox/b.jsonl", "b")
    assert await two_looks() == [[str(first)], [str(second)]]
    home.write("inbox/a.jsonl", "a", "more")
    assert await two_looks() == [[str(first)], [str(second)], [str(first)]]


async def test_formats_are_kept_apart(home):
    inbox = home.folder / "inbox"
    inbox.mkdir()
    await home.add(source=None, watch=inbox, cron=None)
    home.write("inbox/a.jsonl", "a")
    (inbox / "b.csv").write_text("id,text\nb,b\n")
    looking = home.timetable()
    await looking.look()
    home.clock.advance(SETTLED)
    await looking.look()
    await home.finish((await home.runs())[0])
    home.at(minutes=1)
    await looking.look()
    assert [run.spec.source_format for run in await home.runs()] == ["jsonl", "csv"]


async def test_files_that_vanish_before_their_run_is_begun_are_given_up(home):
    inbox = home.folder / "inbox"
    inbox.mkdir()
    await home.add(source=None, watch=inbox, cron=None)
    path = home.write("inbox/a.jsonl", "a")
    schedule = await home.store.schedules.read("nightly")
    looking = home.timetable()
    await looking.look()
    home.clock.advance(SETTLED)
    files = watch.quiet_files(inbox, home.clock.now() + timedelta(days=9999), set())
    assert await home.schedules.claim(schedule, home.clock.now(), files=files) is not None
    path.unlink()
    await looking.look()
    (occurrence,) = (await home.schedules.read("nightly")).occurrences
    assert (occurrence.abandoned, occurrence.is_open) == (True, False)
    assert await home.runs() == []


async def test_a_folder_that_is_gone_is_told_and_holds_no_other_up(home, caplog):
    inbox = home.folder / "inbox"
    inbox.mkdir()
    await home.add("aa", source=None, watch=inbox, cron=None)
    await home.add()
    inbox.rmdir()
    home.at(days=1)
    with caplog.at_level("WARNING", logger="nightmail"):
        await home.look()
    assert "schedule_put_off" in caplog.text
    assert len(await home.runs()) == 1


async def test_by_hand_only_files_that_have_rested_are_taken(home):
    inbox = home.folder / "inbox"
    inbox.mkdir()
    await home.add(source=None, watch=inbox, cron=None)
    path = home.write("inbox/a.jsonl", "a")
    os.utime(path, (START.timestamp(), START.timestamp()))
    with pytest.raises(ConfigError, match="nothing new is complete"):
        await home.schedules.start("nightly")
    home.clock.advance(SETTLED)
    assert (await home.schedules.start("nightly")).spec.source_paths == (str(path),)


LOOKER = """
import asyncio, sys
from datetime import datetime
from nightmail.config import read
from nightmail.stores.sqlite import SqliteStore
from nightmail.testing.clock import ManualClock
from nightmail.worker.schedules import Schedules
from nightmail.worker.timetable import Timetable


async def main():
    settings = read(home=sys.argv[1], api_key="none", environment={})
    store = await SqliteStore.open(settings.home)
    clock = ManualClock(datetime.fromisoformat(sys.argv[2]))
    looking = Timetable(Schedules(settings, store, clock), store, clock)
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        await looking.look()
        print("looked", flush=True)


asyncio.run(main())
"""


@pytest.mark.end_to_end
async def test_two_processes_on_one_home_start_it_once_and_one_that_is_killed_leaves_nothing_undone(home):
    for number in range(5):
        await home.add(f"s{number}", output=home.folder / "out" / "{schedule}-{date}.jsonl")
    now = START + timedelta(days=1)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", LOOKER, home.settings.home, now.isoformat()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        for each in started:
            assert each.stdout.readline() == "ready\n"
        for each in started:
            each.stdin.write("go\n")
            each.stdin.flush()
        # Killed at whatever it is doing, once the other has something to lose the race for.
        while not await home.runs():
            await asyncio.sleep(0)
        started[0].kill()
        # Its first look may have been under way; the second sees whatever the killed one left.
        for _ in range(2):
            assert started[1].stdout.readline() == "looked\n"
    finally:
        for each in started:
            each.kill()
            each.communicate()
    runs = await home.runs()
    assert len({run.spec.output for run in runs}) == len(runs) == 5
    told = [await home.store.events.list(run.run_no, limit=9) for run in runs]
    assert max(map(len, told)) == 1
    for status in await home.schedules.list():
        assert [each.run_id is not None for each in status.occurrences] == [True]


async def test_a_schedule_that_cannot_start_is_told_once_for_each_time(home):
    await home.add()
    (home.folder / "rows.jsonl").unlink()

    async def told():
        await home.look()
        for _ in range(2):
            await Noticing(home.store, home.clock, [Channel(name="ops", url_env="U", secret_env="S")]).look()
        with closing(sqlite3.connect(home.settings.home / "nightmail.db")) as database:
            return database.execute("SELECT kind, body FROM notices ORDER BY notice_no").fetchall()

    assert await told() == []
    home.at(days=1)
    ((kind, body),) = await told()
    said = json.loads(body)
    assert (kind, said["facts"]["schedule"]) == ("schedule_put_off", "nightly")
    assert "rows.jsonl does not exist" in said["text"]
    home.write("rows.jsonl", "one")
    home.clock.advance(timetable.AGAIN)
    assert len(await told()) == 1, "it is mended"
