"""Pages that come together are kept together, and an answer means that the page is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nightmail.core.intake import Intake, IntakeSpec
from nightmail.errors import DiskFull
from nightmail.stores.sqlite import SqliteStore
from nightmail.worker.clock import RealClock
from nightmail.worker.gate import PACE, Gate, Line, Page


class Impatient(RealClock):
    """The real clock, on which nobody waits: `waits` are what was asked for."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def wait(self, seconds: float, *, wake: asyncio.Event | None = None) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


class Door:
    """A gate over a home with one intake."""

    def __init__(self, folder: Path, store: SqliteStore, intake: Intake) -> None:
        self.folder, self.store, self.intake = folder, store, intake
        self.clock = Impatient()
        self.gate = Gate(store, folder / "spool", self.clock)

    async def hand_in(self, *keys: str) -> int:
        lines = [Line(key, key.encode().ljust(16)[:16], 1, b'{"id": 1}') for key in keys]
        return (await self.gate.hand_in(Page(self.intake.intake_no, None, 0, lines))).accepted

    async def kept(self) -> list[str]:
        rows = await self.store.intakes.page(self.intake.intake_no, None, after=0, limit=1000)
        return [row.key for row in rows]

    def segments(self) -> list[Path]:
        return sorted((self.folder / "spool" / "intake" / "queue").iterdir())


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    store = await SqliteStore.open(tmp_path / "home")
    clock = RealClock()
    intake = await store.intakes.record("colours", None, IntakeSpec(task="t:T"), now=clock.now())
    made = Door(tmp_path, store, intake)
    yield made
    await made.gate.close()
    await store.close()


async def test_who_hands_in_alone_does_not_wait(door: Door) -> None:
    for number in range(5):
        assert await door.hand_in(f"{number}") == 1
    assert door.clock.waits == []


async def test_where_many_come_groups_keep_a_pace_and_lose_nothing(door: Door) -> None:
    async def one_after_the_other(client: int) -> None:
        for number in range(10):
            assert await door.hand_in(f"{client}-{number}") == 1

    await asyncio.gather(*(one_after_the_other(client) for client in range(8)))
    assert sorted(await door.kept()) == sorted(f"{client}-{n}" for client in range(8) for n in range(10))
    assert door.clock.waits
    assert max(door.clock.waits) <= PACE
    (segment,) = door.segments()
    assert segment.read_bytes().count(b"\n") == 80


async def test_a_page_that_did_not_get_to_disk_is_refused_and_the_next_begins_a_segment(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await door.hand_in("a") == 1

    def full(_: bytes) -> None:
        raise DiskFull("no room")

    with monkeypatch.context() as patched:
        patched.setattr(door.gate, "_append", full)
        with pytest.raises(DiskFull):
            await door.hand_in("b")
    assert await door.hand_in("b", "c") == 2
    assert await door.kept() == ["a", "b", "c"]
    assert len(door.segments()) == 2
