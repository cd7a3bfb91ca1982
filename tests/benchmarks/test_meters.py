"""The meters book each piece of CPU time once, whatever is nested in what."""

import asyncio
import time

import pytest

from tests.benchmarks.scripts import load

dataset, Meters = load("dataset"), load("meters").Meters


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_a_stage_within_a_stage_is_taken_out_of_the_outer_one():
    meters = Meters()
    inner = meters.timed("inner", lambda: burn(0.03))

    def work():
        burn(0.02)
        inner()

    meters.timed("outer", work)()

    assert meters.seconds["inner"] == pytest.approx(0.03, abs=0.01)
    assert meters.seconds["outer"] == pytest.approx(0.02, abs=0.01)


async def test_a_coroutine_is_charged_for_its_own_steps_only():
    meters = Meters()

    async def work(other):
        burn(0.02)
        other.set()
        await asyncio.get_running_loop().create_task(neighbour())
        return "done"

    async def neighbour():
        burn(0.03)

    assert await meters.timed_coroutine("stage", work)(asyncio.Event()) == "done"
    assert meters.seconds["stage"] == pytest.approx(0.02, abs=0.01)


async def test_what_an_awaited_thing_raises_reaches_the_coroutine():
    meters = Meters()

    async def work():
        try:
            await asyncio.get_running_loop().create_task(failing())
        except ValueError as error:
            return str(error)

    async def failing():
        raise ValueError("no")

    assert await meters.timed_coroutine("stage", work)() == "no"


def test_an_iterator_is_charged_for_making_its_items():
    meters = Meters()

    def items():
        for number in range(3):
            burn(0.01)
            yield number

    found = []
    for item in meters.timed_iterator("stage", items)():
        burn(0.02)
        found.append(item)

    assert found == [0, 1, 2]
    assert meters.seconds["stage"] == pytest.approx(0.03, abs=0.01)


def test_the_input_is_the_same_every_time_and_about_a_kilobyte_a_record(tmp_path):
    sizes = [dataset.write(tmp_path / name, 300) for name in ("a", "b")]

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert 900 < sizes[0] / 300 < 1_100
