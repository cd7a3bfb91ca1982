"""The first page: what goes on, what it costs, how full the queues are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightmail.simulator import process
from tests.web.desk import opened
from tests.web.pages.visitor import look, sign_in, words


@pytest.fixture(scope="module")
def simulator() -> Iterator[process.SimulatorProcess]:
    with process.start() as running:
        yield running


async def test_an_empty_home_says_how_to_begin(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        page = words(await look(office, "/"))
        assert "There are no runs yet." in page
        assert "Spent today $0.00" in page
        assert "Nothing was answered in the last day." in page


async def test_what_goes_on_is_there_and_what_is_over_is_not(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        started = [await office.start(f"{n}.jsonl") for n in range(3)]
        await office.client.pause(started[1])
        now = words(await look(office, "/"))
        assert "Going on now" in now
        assert f"{started[1]} paused" in now
        assert f"{started[0]} open" in now


async def test_money_plots_and_queues_after_a_run(tmp_path: Path, simulator: Any) -> None:
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:
        rows = office.rows(30)
        started = await office.client.start(str(office.task), rows, poll_interval=0.05, max_batch_requests=10)
        await office.until(started.run_id, lambda run: run["state"] == "finished")
        page = await look(office, "/")
        sums = r"Spent today \$0\.0\d+ Spent this month \$0\.0\d+ Saved this month \$0\.0\d+"
        assert re.search(sums, words(page))
        assert "Nothing is going on" in words(page)
        assert started.run_id in words(page)
        assert "30 in the last hour" in words(page)
        assert "over 3 batches" in words(page)
        week = await look(office, "/?span=week")
        assert "30 in the last week" in words(week)


async def test_an_unknown_price_is_said_to_be_unknown(tmp_path: Path, simulator: Any) -> None:
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:
        rows = office.rows(3)
        started = await office.client.start(str(office.task), rows, poll_interval=0.05, model="of-our-own")
        await office.until(started.run_id, lambda run: run["state"] == "finished")
        page = words(await look(office, "/"))
        assert "Spent today unknown without of-our-own: price unknown" in page


async def test_a_tenant_sees_its_own_sums_and_its_budget(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        ours = await office.client.keys.add("ours", budget=50)
        await office.client.keys.add("theirs")
        own, other = (
            await office.start("a.jsonl", tenant="ours"),
            await office.start("b.jsonl", tenant="theirs"),
        )
        await sign_in(office, ours)
        page = words(await look(office, "/"))
        assert own in page
        assert other not in page
        assert "Spent this month $0.00 of $50.00 a month" in page
