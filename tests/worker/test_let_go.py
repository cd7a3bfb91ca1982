"""What was sent and what was judged is not kept in memory, but for requests that several records share."""

import pytest

from nightmail.core.run import RunState
from nightmail.spool import Spool
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider


@pytest.fixture
def let_go(monkeypatch):
    """Names and bytes of what the spool was told to let go of."""
    found = []

    def note(spool, ranges):
        found.extend(
            (name.partition("/")[2], spool.read(name, offset, length)) for name, offset, length in ranges
        )

    monkeypatch.setattr(Spool, "let_go", note)
    return found


async def test_requests_go_when_they_are_uploaded_and_results_when_they_are_judged(tmp_path, let_go):
    desk = Desk(tmp_path, ScriptedProvider())

    run = await desk.drive()

    assert run.state is RunState.FINISHED
    sent, judged = let_go[:-1], let_go[-1]
    folder = desk.home / "spool" / run.run_id
    assert {name for name, _ in sent} == {"requests/000000.jsonl"}
    assert b"".join(lines for _, lines in sent) == (folder / "requests/000000.jsonl").read_bytes()
    assert judged == ("results/1.output.jsonl", (folder / "results/1.output.jsonl").read_bytes())


async def test_nothing_goes_that_copies_are_compared_with_or_answered_from(tmp_path, let_go):
    rows = [{"id": f"r{n}", "text": "the same"} for n in range(3)]
    desk = Desk(tmp_path, ScriptedProvider(), rows=rows)

    await desk.drive()

    assert (await desk.status()).copies == 2
    assert let_go == []
