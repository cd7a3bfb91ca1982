"""Nothing of a run goes on when its driver is over, however often that is cancelled while it ends."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import nightmail
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider

PASSES = 50  # of the event loop: more than cancelling anything here takes


class Uploading(ScriptedProvider):
    """An upload takes for ever, and a while to be given up."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.over = asyncio.Event(), asyncio.Event()

    async def upload(self, *path: Any, **named: Any) -> Any:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await passes()
            self.over.set()


class Endless(nightmail.Task):
    """Builds its first record only when it is let go."""

    model = "gpt-4o-mini"
    begun: threading.Event
    go: threading.Event

    def build(self, record: Any) -> str:
        self.begun.set()
        assert self.go.wait(60)
        return f"say {record['text']}"


async def passes() -> None:
    for _ in range(PASSES):
        await asyncio.sleep(0)


async def cut_short(driving: asyncio.Task[Any]) -> None:
    """Cancel it, and cancel it again while it waits for its stages to end."""
    driving.cancel()
    await passes()
    assert not driving.done(), "it waits for what is under way"
    driving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await driving


@pytest.fixture
async def complaints() -> list[str]:
    """What the event loop says of errors that nobody has looked at."""
    said: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: said.append(told["message"]))
    return said


@pytest.fixture
def endless() -> Iterator[type[Endless]]:
    Endless.begun, Endless.go = threading.Event(), threading.Event()
    yield Endless
    Endless.go.set()  # else its thread would outlive a test that has failed


async def test_a_stage_is_over_before_its_driver_is(tmp_path, complaints):
    provider = Uploading()
    desk = Desk(tmp_path, provider)
    driving = asyncio.create_task(desk.drive())
    await provider.begun.wait()

    await cut_short(driving)

    assert provider.over.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    gc.collect()
    assert complaints == []


async def test_reading_is_over_before_its_driver_is(tmp_path, endless, complaints):
    desk = Desk(tmp_path, ScriptedProvider(), task=endless)
    driving = asyncio.create_task(desk.drive())
    await asyncio.to_thread(endless.begun.wait, 60)

    await cut_short(driving)

    assert asyncio.all_tasks() == {asyncio.current_task()}
    endless.go.set()
    await passes()
    gc.collect()
    assert complaints == []
    assert (await desk.drive()).record_count == 6
