"""What processes build while the source is still looked through, and what becomes of it."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import nightmail
from nightmail.core.run import RunState
from nightmail.errors import SourceError, TaskError
from nightmail.sources.jsonl import JsonlSource
from nightmail.stages import enqueue
from nightmail.stages.shards import Here
from nightmail.stages.survey import Surveyed
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider

ROWS = [{"id": f"r{n}", "text": f"t{n}"} for n in range(12)]
PIECES = 4


class Builds(nightmail.Task):
    """Tells when it builds the first record of the last piece but one."""

    model = "gpt-4o-mini"
    reached: threading.Event

    def build(self, record: Any) -> str:
        if record["id"] == "r6":
            self.reached.set()
        return f"say {record['text']}"


@pytest.fixture(autouse=True)
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JsonlSource, "piece_rows", len(ROWS) // PIECES)
    monkeypatch.setattr(Here, "early", PIECES)
    Builds.reached = threading.Event()


Told = Callable[[Surveyed], None]


def slowly(monkeypatch: pytest.MonkeyPatch, told: Told) -> list[bool]:
    """The survey gives its last piece only when those before are being built; then it is `told`."""
    survey, seen = enqueue.survey, list[bool]()

    def surveyed(*given: Any, **named: Any) -> Iterator[Surveyed]:
        for number, each in enumerate(survey(*given, **named), 1):
            if number == PIECES:
                seen.append(Builds.reached.wait(60))
                told(each)
            yield each

    monkeypatch.setattr(enqueue, "survey", surveyed)
    return seen


async def test_pieces_are_built_while_the_rest_is_looked_through(tmp_path, monkeypatch):
    desk = Desk(tmp_path, ScriptedProvider(), task=Builds, rows=ROWS)
    seen = slowly(monkeypatch, lambda _: None)

    run = await desk.drive()

    assert (seen, run.state, run.record_count) == ([True], RunState.FINISHED, len(ROWS))
    assert [row["id"] for row in desk.outputs()] == [row["id"] for row in ROWS]


@pytest.mark.parametrize("last", ["{", '{"id": "r0", "text": "there before"}', '{"text": "no key"}'])
async def test_what_is_wrong_at_the_end_is_found_before_anything_is_sent(tmp_path, monkeypatch, last):
    desk = Desk(tmp_path, ScriptedProvider(), task=Builds, rows=ROWS)
    desk.input.write_text(desk.input.read_text() + last + "\n")
    seen = slowly(monkeypatch, lambda _: None)

    with pytest.raises(SourceError, match="Nothing was sent"):
        await desk.drive()

    assert seen == [True]
    assert desk.provider.uploads == {}
    assert (await desk.status()).records == 0


async def test_a_run_that_is_stopped_meanwhile_goes_on_where_the_store_is(tmp_path, monkeypatch):
    desk, stop = Desk(tmp_path, ScriptedProvider(), task=Builds, rows=ROWS), asyncio.Event()
    loop = asyncio.get_running_loop()
    slowly(monkeypatch, lambda _: loop.call_soon_threadsafe(stop.set))

    run = await desk.drive(stop=stop)
    assert (run.state, run.record_count, desk.provider.uploads) == (RunState.OPEN, 0, {})

    assert (await desk.drive()).state is RunState.FINISHED
    assert [row["id"] for row in desk.outputs()] == [row["id"] for row in ROWS]


async def test_a_task_that_can_make_nothing_of_the_first_piece_is_told_at_once(tmp_path, monkeypatch):
    desk = Desk(tmp_path, ScriptedProvider(), task=Builds, rows=[{"id": row["id"]} for row in ROWS])
    monkeypatch.setattr(enqueue, "PROBE", 2)

    with pytest.raises(TaskError, match="no request could be made of any of the first 2 records"):
        await desk.drive()

    assert not Builds.reached.is_set()


async def test_files_with_and_without_places_are_read_in_their_order(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(), task=Builds, rows=ROWS)
    lines = desk.input.read_bytes().splitlines(keepends=True)
    folder = tmp_path / "rows"
    folder.mkdir()
    for number, name in enumerate(("a.jsonl", "b.jsonl.gz", "c.jsonl", "d.jsonl.gz")):
        data = b"".join(lines[3 * number : 3 * number + 3])
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    desk.input = folder

    assert (await desk.drive()).state is RunState.FINISHED
    assert [row["id"] for row in desk.outputs()] == [row["id"] for row in ROWS]
