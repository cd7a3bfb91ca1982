"""Synchronous calls: how many are on their way."""

import asyncio

from nightmail.core import throttle
from nightmail.core.request import Mode
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


async def test_answers_make_room_for_as_many_calls_as_the_throttle_lets_go(tmp_path):
    rows = [{"id": f"r{n}", "text": f"thing {n}"} for n in range(60)]
    desk = Desk(tmp_path, Yielding(), rows=rows, mode=Mode.SYNC)

    await desk.drive()

    assert len(desk.outputs()) == desk.provider.calls == 60
    assert max(desk.provider.seen) > throttle.FIRST
