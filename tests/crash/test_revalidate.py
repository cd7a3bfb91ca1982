"""The process dies while stored answers are judged again."""

from __future__ import annotations

import pytest

import nightmail
from nightmail.core.run import RunState
from nightmail.stores.requests import SqliteRequests
from nightmail.testing.desk import Desk
from nightmail.testing.faults import Crash
from nightmail.testing.provider import ScriptedProvider, completion, row


async def test_outputs_that_were_written_before_a_crash_are_delivered_once(tmp_path, monkeypatch):
    class Task(nightmail.Task):
        model = "gpt-4o-mini"

        def build(self, record):
            return f"say something about {record['text']}"

        def check(self, output, record):
            raise nightmail.Rejected("a bug in this check")

    provider = ScriptedProvider(lambda custom_id, body, times: row(custom_id, body=completion("fine")))
    desk = Desk(tmp_path, provider, task=Task, max_attempts=1)
    await desk.drive()
    monkeypatch.setattr(Task, "check", nightmail.Task.check)

    async def dies(*_, **__):
        raise Crash("before it is in the store")

    with monkeypatch.context() as context:
        context.setattr(SqliteRequests, "record_revalidated", dies)
        with pytest.raises(Crash):
            await desk.revalidate()
    assert await desk.revalidate() == 6
    run = await desk.drive()

    assert run.state is RunState.FINISHED
    assert [each["id"] for each in desk.outputs()] == [f"r{n}" for n in range(6)]
