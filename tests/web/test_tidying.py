"""What came in is kept for as long as somebody needs it, and then goes."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nightmail.simulator import process
from nightmail.worker.backup import _under_way
from nightmail.worker.clock import RealClock
from nightmail.worker.tidying import KEEP_UPLOAD, Tidying
from tests.web.desk import Office, opened
from tests.web.test_intakes import made, records

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def simulator() -> Iterator[process.SimulatorProcess]:
    with process.start() as running:
        yield running


class Later(RealClock):
    """The real clock, ahead by some time: files have their times from the system."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return super().now() + self._ahead


async def tidy(office: Office, *, ahead: timedelta = timedelta(0)) -> None:
    tidying = Tidying(office.client._store, office.client.settings.spool, Later(ahead), "somebody")
    await tidying.segments(writing=None)
    await tidying.now_and_then()


def files(office: Office, folder: str) -> list[str]:
    return sorted(
        path.name for path in (office.client.settings.spool / "intake" / folder).rglob("*") if path.is_file()
    )


def segment_of(office: Office, holder: str) -> None:
    """Say that somebody else writes the segment."""
    with closing(sqlite3.connect(office.client.settings.home / "nightmail.db")) as database, database:
        assert database.execute("UPDATE segments SET holder = ?", [holder]).rowcount == 1


async def left(office: Office) -> None:
    """One record has come and left."""
    where = await made(office, max_wait_seconds=0)
    await office.post(f"{where}/records", json=records("a"))
    await office.client.intakes.empty()


async def test_a_segment_of_an_earlier_process_with_our_number_goes(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        await left(office)
        segment_of(office, f"{socket.gethostname()}/{os.getpid()}/0badc0de-1")
        assert len(files(office, "queue")) == 2
        await tidy(office)
        assert files(office, "queue") == ["colours-1.jsonl"]


async def test_a_segment_of_another_machine_goes_when_nobody_has_written_for_an_hour(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        await left(office)
        segment_of(office, "elsewhere/1/x-y")
        await tidy(office)
        assert len(files(office, "queue")) == 2
        await tidy(office, ahead=timedelta(hours=2))
        assert files(office, "queue") == ["colours-1.jsonl"]


async def test_who_was_taken_for_dead_and_writes_on_loses_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        await left(office)
        segment_of(office, "elsewhere/1/x-y")
        await tidy(office, ahead=timedelta(hours=2))

        where = f"/api/v1/intakes/{(await office.client.intakes.list())[0].intake_id}"
        answer = await office.post(f"{where}/records", json=records("b", "c"))
        assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
        await office.client.intakes.empty()
        spool = office.client.settings.spool
        assert (spool / "intake" / "queue" / "colours-2.jsonl").read_bytes().count(b"thing") == 2


async def test_what_has_left_goes_when_its_run_is_over_and_can_still_be_asked_again(
    tmp_path: Path, simulator: Any
) -> None:
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:
        await left(office)
        (run,) = await office.client.runs()
        await office.until(run.run_id, lambda seen: seen["state"] == "finished")
        async with asyncio.timeout(30):
            while files(office, "queue")[-1] == "colours-1.jsonl":
                await tidy(office)
                await asyncio.sleep(0.01)
        (result,) = (await office.get("/api/v1/intakes/colours/results")).json()["results"]
        assert result["state"] == "succeeded"
        # The same file is not needed to look at the run, to export it or to ask what failed again.
        assert (await office.client.record(1, run.run_id))["state"] == "succeeded"
        assert await office.client.revalidate(run.run_id) == 0
        await office.until(run.run_id, lambda seen: seen["state"] == "finished")


async def test_what_waits_or_is_under_way_stays(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        await left(office)
        where = await made(office, max_wait_seconds=0)
        await office.post(f"{where}/records", json=records("b"))
        kept = files(office, "queue")
        await tidy(office, ahead=30 * DAY)
        assert files(office, "queue") == kept


async def test_an_upload_stays_while_a_run_reads_it_and_goes_a_week_later(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        sent = [await office.post("/api/v1/uploads", content=b'{"id": %d}\n' % number) for number in (1, 2)]
        needed, other = (answer.json()["upload_id"] for answer in sent)
        path = await office.client.uploads.path(needed, tenant=None)
        await office.client.start(str(office.task), path)

        await tidy(office, ahead=KEEP_UPLOAD - DAY)
        assert files(office, "uploads") == sorted([needed, other])
        await tidy(office, ahead=KEEP_UPLOAD + DAY)
        assert files(office, "uploads") == [needed]


async def test_an_upload_that_is_sent_again_is_the_same_input(tmp_path: Path, simulator: Any) -> None:
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:

        async def run_over_it() -> str:
            sent = await office.post("/api/v1/uploads", content=b'{"id": 1, "text": "x"}\n')
            path = await office.client.uploads.path(sent.json()["upload_id"], tenant=None)
            run_id = (await office.client.start(str(office.task), path, poll_interval=0.05)).run_id
            await office.until(run_id, lambda seen: seen["state"] == "finished")
            return run_id

        assert await run_over_it() == await run_over_it()


async def test_what_was_left_half_written_goes_after_a_day(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        folder = office.client.settings.spool / "intake" / "uploads" / "_"
        folder.mkdir(parents=True)
        (folder / ".0123.part").write_bytes(b"half")
        office.client.uploads.temporary(".jsonl").write_bytes(b"an answer that nobody waited for")
        await tidy(office)
        assert len(files(office, "uploads")) == 2
        await tidy(office, ahead=2 * DAY)
        assert files(office, "uploads") == []


async def test_nothing_goes_while_a_backup_is_made_and_all_of_it_afterwards(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        await left(office)
        segment_of(office, "elsewhere/1/x-y")
        with _under_way(office.client.settings.spool, RealClock()):
            await tidy(office, ahead=timedelta(hours=2))
            assert len(files(office, "queue")) == 2
        await tidy(office, ahead=timedelta(hours=2))
        assert files(office, "queue") == ["colours-1.jsonl"]


async def test_a_backup_that_died_holds_nothing_for_longer_than_a_day(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        await left(office)
        segment_of(office, "elsewhere/1/x-y")
        (office.client.settings.spool / ".backup-0123.under-way").write_text("elsewhere/7/x-y")
        await tidy(office, ahead=timedelta(hours=2))
        assert len(files(office, "queue")) == 2
        await tidy(office, ahead=2 * DAY)
        assert files(office, "queue") == ["colours-1.jsonl"]
