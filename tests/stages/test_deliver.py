"""Windows of the delivered file: in the order of the source, whatever that of the parts; written one at a
time, and never by a thread that outlives the delivery."""

import asyncio
import random
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nightmail.core.run import RunState
from nightmail.errors import SinkError
from nightmail.sinks.jsonl import JsonlSink
from nightmail.sinks.parquet import ParquetSink
from nightmail.stages import accepted, deliver
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider

ROWS = [{"id": f"r{n}", "text": f"thing {n}"} for n in range(350)]


class Shuffling(ScriptedProvider):
    """Gives the lines of result files in another order than that of the requests."""

    async def fetch(self, file_id, to):
        size = await super().fetch(file_id, to)
        lines = to.read_bytes().splitlines(keepends=True)
        random.Random(7).shuffle(lines)
        to.write_bytes(b"".join(lines))
        return size


@pytest.fixture
def small(monkeypatch):
    """Windows of 100 records, and parts in pieces of 70."""
    monkeypatch.setattr(deliver, "WINDOW_BYTES", 1)
    monkeypatch.setattr(accepted, "ROWS_AT_ONCE", 70)


@pytest.mark.parametrize("provider", [ScriptedProvider, Shuffling])
async def test_rows_are_in_the_order_of_the_source_whatever_the_order_of_the_answers(
    tmp_path, provider, small
):
    desk = Desk(tmp_path, provider(), rows=ROWS)

    await desk.drive()

    assert [each["id"] for each in desk.outputs()] == [each["id"] for each in ROWS]


def test_a_window_of_large_rows_is_a_row_group_so_that_none_waits_for_the_next(tmp_path):
    large = "x" * 1_000_000
    window = pa.record_batch({"text": [large] * (deliver.WINDOW_BYTES // len(large))})
    sink = ParquetSink(tmp_path / "out.parquet", window.schema)
    for _ in range(3):
        sink.write(window)
    sink.close()

    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 3


async def test_a_sink_that_fails_leaves_no_file_and_is_tried_again(tmp_path, monkeypatch, small):
    desk = Desk(tmp_path, ScriptedProvider(), rows=ROWS)
    write, written = JsonlSink.write, []

    def failing(sink, batch):
        written.append(batch.num_rows)
        if len(written) == 3:
            raise SinkError("no room")
        write(sink, batch)

    monkeypatch.setattr(JsonlSink, "write", failing)
    with pytest.raises(SinkError, match="no room"):
        await desk.drive()

    assert not desk.output.exists()
    assert (await desk.drive()).state is RunState.FINISHED
    assert len(desk.outputs()) == 350


class Slow:
    """A sink that writes when it is let."""

    def __init__(self):
        self.began, self.go = threading.Event(), threading.Event()
        self.rows = 0

    def write(self, batch):
        self.began.set()
        assert self.go.wait(60)
        self.rows += batch.num_rows


async def test_a_delivery_that_is_cancelled_ends_after_the_thread_that_writes():
    sink = Slow()

    async def tables():
        for _ in range(3):
            yield pa.table({"id": [1, 2]})

    delivery = asyncio.create_task(deliver._written(tables(), sink, None))
    assert await asyncio.to_thread(sink.began.wait, 60)
    delivery.cancel()
    await asyncio.wait([delivery], timeout=0)
    assert not delivery.done()
    sink.go.set()

    with pytest.raises(asyncio.CancelledError):
        await delivery
    assert sink.rows == 2
