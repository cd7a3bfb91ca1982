"""Batches leave while the source is still being read, as far as that can be undone by nothing."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

import nightmail
from nightmail.core import planning
from nightmail.core.limits import Limits
from nightmail.core.run import RunState
from nightmail.providers.base import RemoteBatch
from nightmail.testing.clock import START
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider
from nightmail.worker import filling, loop
from tests.worker.on_time import OnTime

RECORDS = 12_000  # three pieces
LIMITS = Limits(max_batch_requests=2_000)
ROWS = [{"id": f"r{n}", "text": f"t{n}"} for n in range(RECORDS)]


@dataclass
class Watched(ScriptedProvider):
    """Tells when the first batch is made."""

    has_a_batch: threading.Event = field(default_factory=threading.Event)

    async def create(self, **asked: Any) -> RemoteBatch:
        created = await super().create(**asked)
        self.has_a_batch.set()
        return created


class Waits(nightmail.Task):
    """Builds the last record only when the provider has a batch."""

    model = "gpt-4o-mini"
    made: threading.Event
    seen: list[bool]
    patience = 60.0

    def build(self, record: Any) -> str:
        if record["id"] == ROWS[-1]["id"]:
            self.seen.append(self.made.wait(self.patience))
        return f"say {record['text']}"


@pytest.fixture
def provider() -> Watched:
    made = Watched(known_limits=LIMITS)
    Waits.made, Waits.seen = made.has_a_batch, []
    return made


async def test_the_first_batch_is_made_while_the_rest_is_still_being_built(tmp_path, provider, monkeypatch):
    monkeypatch.setattr(filling, "LOOK", timedelta(seconds=0.01))
    monkeypatch.setattr(loop, "LOOK_AROUND", 0.05)
    desk = Desk(tmp_path, provider, task=Waits, rows=ROWS, clock=OnTime(), poll_interval=0.05)

    run = await desk.drive()

    assert Waits.seen == [True]
    assert run.state is RunState.FINISHED
    assert [row["id"] for row in desk.outputs()] == [row["id"] for row in ROWS]
    # Nothing was cut short for being early.
    assert [len(batch.lines) for batch in provider.batches.values()] == [2_000] * 6


async def test_who_plans_is_woken_when_there_is_enough_for_a_batch(tmp_path, provider, monkeypatch):
    monkeypatch.setattr(planning, "FIRST_BATCH", 5_000)
    # Nobody looks by himself before the test is long over.
    monkeypatch.setattr(filling, "LOOK", timedelta(hours=1))
    monkeypatch.setattr(loop, "LOOK_AROUND", 3_600.0)
    provider.known_limits = Limits()
    desk = Desk(tmp_path, provider, task=Waits, rows=ROWS, clock=OnTime(), poll_interval=0.05)

    await desk.drive()

    assert Waits.seen == [True]
    # Uploads overtake each other.
    assert sorted(len(batch.lines) for batch in provider.batches.values()) == [2_000, 5_000, 5_000]


async def test_where_bad_rows_are_left_out_nothing_leaves_before_every_key_is_known(
    tmp_path, provider, monkeypatch
):
    monkeypatch.setattr(Waits, "patience", 0)
    desk = Desk(tmp_path, provider, task=Waits, rows=ROWS, skip_bad_rows=True)

    await desk.drive()

    assert Waits.seen == [False]


async def test_records_of_which_no_batch_can_be_cut_are_looked_through_a_few_times(monkeypatch):
    monkeypatch.setattr(filling, "LOOK", timedelta(days=1))
    looks = []

    async def read(ports, run, stopped, told):
        for count in range(4_000, 1_000_000, 4_000):
            told(count)
            if wake.is_set():
                wake.clear()
                assert reading.may_plan(run_with(count))
                looks.append(count)

    def run_with(count):
        return SimpleNamespace(record_count=count, planned_seq=0, sealed=False)

    monkeypatch.setattr(filling, "enqueue", read)
    monkeypatch.setattr(filling, "flows", lambda run: True)
    wake = asyncio.Event()
    reading = filling.Filling(SimpleNamespace(now=lambda: START), asyncio.Event(), wake)
    assert reading.may_plan(run_with(0))
    await reading.go_on(run_with(0))
    await reading.end()

    assert looks == [12_000, 24_000, 48_000, 96_000, 192_000, 384_000, 768_000]
