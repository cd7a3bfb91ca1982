"""Two batches for one intent, through the official client and the simulator: our bill is its bill."""

from __future__ import annotations

import time

import pytest

from nightmail.core.batch import ENDED_PHASES
from nightmail.core.run import RunState
from nightmail.errors import ProviderUnavailable
from nightmail.providers.openai.adapter import OpenAIProvider
from nightmail.simulator.process import start
from nightmail.testing.desk import Desk


class Repeating(OpenAIProvider):
    """Something on the way makes the first create call twice, the second time when the first batch has ended
    already, and loses the answers until the second has ended too."""

    repeated = False

    async def create(self, *, input_file_id, endpoint, metadata):
        asked = {"input_file_id": input_file_id, "endpoint": endpoint, "metadata": metadata}
        if self.repeated:
            return await super().create(**asked)
        self.repeated = True
        for _ in range(2):
            created = await super().create(**asked)
            deadline = time.monotonic() + 60
            while (await self.poll(created.id)).phase not in ENDED_PHASES:
                assert time.monotonic() < deadline
        raise ProviderUnavailable("the connection closed", ambiguous=True)


pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def simulator():
    with start(options=["--processes", "1"]) as running:
        yield running


async def driven(folder, simulator, *faults):
    """A run of six records; our status, and what the simulator says that it executed and billed for it."""
    simulator.post("/_simulator/faults", {"faults": list(faults)})
    before = simulator.get("/_simulator/books")["totals"]
    provider = Repeating(simulator.url, "key")
    desk = Desk(folder, provider, base_url=simulator.url)
    try:
        run = await desk.drive()
    finally:
        await provider.close()
    assert run.state is RunState.FINISHED
    assert len(desk.outputs()) == 6
    after = simulator.get("/_simulator/books")["totals"]
    billed = {name: after[name] - before[name] for name in after}
    status = await desk.status()
    cost = billed["input_tokens"] * 75_000 + billed["output_tokens"] * 300_000
    assert status.cost_pusd == cost
    assert simulator.get("/_simulator/state")["files"] == 0
    return status, billed


async def test_both_complete_and_one_is_wasted(tmp_path, simulator):
    status, billed = await driven(tmp_path, simulator)

    assert (billed["batches"], billed["requests"]) == (2, 12)
    assert status.wasted_pusd == status.cost_pusd / 2


async def test_what_the_one_could_not_answer_is_taken_from_the_other(tmp_path, simulator):
    """Whichever is executed first fails on three lines; nothing is asked a third time."""
    status, billed = await driven(tmp_path, simulator, {"kind": "line_error", "first": 3, "repeat": 1})

    assert (billed["batches"], billed["requests"]) == (2, 9)
    assert 0 < status.wasted_pusd < status.cost_pusd / 2


async def test_both_expire_half_done_and_only_the_rest_goes_again(tmp_path, simulator):
    status, billed = await driven(tmp_path, simulator, {"kind": "expire", "share": 0.5, "first": 2})

    assert (billed["batches"], billed["requests"]) == (3, 9)
    assert 0 < status.wasted_pusd < status.cost_pusd / 2
