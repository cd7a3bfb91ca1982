"""A client pauses the run at the very moment in which its worker moves it on."""

import sqlite3

import pytest

from nightmail.core.run import PauseReason, RunState
from nightmail.errors import IllegalMove
from nightmail.testing.desk import Desk
from nightmail.testing.faults import TroublePlan
from nightmail.testing.provider import ScriptedProvider


class PausePlan:
    """Pauses the run just before the worker records event number `at` of it."""

    def __init__(self, desk, at):
        self.desk, self.at, self.seen = desk, at, 0

    def before(self, call):
        self.seen += call == "store.runs.record_event"
        if call == "store.runs.record_event" and self.seen == self.at:
            with sqlite3.connect(self.desk.home / "nightmail.db") as database:
                database.execute("UPDATE runs SET state = 'paused', pause_reason = 'user'")
            database.close()

    def after(self, call): ...


@pytest.mark.parametrize("at", [1, 2])
async def test_a_pause_that_overtakes_the_worker_holds_and_the_run_can_go_on(tmp_path, at):
    desk = Desk(tmp_path, ScriptedProvider())

    run = await desk.drive(PausePlan(desk, at))

    assert (run.state, run.pause_reason) == (RunState.PAUSED, PauseReason.USER)
    await desk.resume()
    assert (await desk.drive()).state is RunState.FINISHED
    assert len(desk.outputs()) == 6
    assert set(desk.provider.executed.values()) == {1}


async def test_an_illegal_move_that_nobody_else_has_caused_is_still_told(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider())
    plan = TroublePlan(
        at=1,
        error=lambda: IllegalMove("no such move"),
        matches=lambda call: call == "store.runs.record_event",
        times=None,
    )

    with pytest.raises(IllegalMove, match="no such move"):
        await desk.drive(plan)
