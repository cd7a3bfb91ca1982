"""Portions of synchronous calls that share what the provider lets in."""

import asyncio
from datetime import timedelta

from nightmail.core import throttle
from nightmail.core.request import Mode
from nightmail.stages import plan
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider


class Yielding(ScriptedProvider):
    """Lets other calls begin before it answers; notes how many are on their way."""

    def __init__(self):
        super().__init__()
        self.inside, self.seen = 0, []

    async def call(self, endpoint, body, **named):
        self.inside += 1
        self.seen.append(self.inside)
        await asyncio.sleep(0)
        self.inside -= 1
        return await super().call(endpoint, body, **named)


async def test_a_portion_takes_over_at_once_when_another_needs_less_room(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "SYNC_PORTION", 4)
    monkeypatch.setattr(throttle, "FIRST", 1.0)
    monkeypatch.setattr(throttle, "MOST", 1.0)
    rows = [{"id": f"r{n}", "text": f"thing {n}"} for n in range(16)]
    desk = Desk(tmp_path, Yielding(), rows=rows, mode=Mode.SYNC)
    began = desk.clock.now()

    await desk.drive()

    assert len(desk.outputs()) == 16
    assert set(desk.provider.seen) == {1}
    assert desk.clock.now() - began < timedelta(seconds=2)


async def test_answers_make_room_for_as_many_calls_as_the_throttle_lets_go(tmp_path):
    rows = [{"id": f"r{n}", "text": f"thing {n}"} for n in range(60)]
    desk = Desk(tmp_path, Yielding(), rows=rows, mode=Mode.SYNC)

    await desk.drive()

    assert len(desk.outputs()) == desk.provider.calls == 60
    assert max(desk.provider.seen) > throttle.FIRST
