"""Who looks after the service can tell how it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nightmail.errors import StoreError
from tests.web.desk import opened


class Endless:
    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()


class Failing:
    async def run(self, stop: asyncio.Event) -> None:
        raise StoreError("the disk is gone")


async def test_it_is_well_while_its_loops_run(tmp_path: Path) -> None:
    async with opened(tmp_path, loops=[Endless()]) as office:
        assert (await office.get("/healthz")).json() == {"status": "ok"}
        assert (await office.get("/readyz")).status_code == 200


async def test_it_answers_but_is_not_ready_once_a_loop_has_failed(tmp_path: Path) -> None:
    async with opened(tmp_path, loops=[Endless(), Failing()]) as office:
        # One turn of the loop starts it, the next tells of its end.
        for _ in range(2):
            await asyncio.sleep(0)
        assert (await office.get("/healthz")).status_code == 200
        answer = await office.get("/readyz")
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:nightmail:problem:not-ready")
