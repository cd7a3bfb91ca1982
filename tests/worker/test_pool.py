"""Shards in other processes give what they give here, whatever becomes of a process."""

import asyncio
import logging
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from nightmail import processes
from nightmail.core.ids import RunId
from nightmail.core.run import KeyKind, Run, RunSpec, RunState
from nightmail.errors import ConfigError, InternalError, SourceError, StoreError
from nightmail.providers.openai.adapter import OpenAIProvider
from nightmail.sources.base import Piece, Position
from nightmail.sources.jsonl import JsonlSource
from nightmail.spool import Spool
from nightmail.stages.keying import Keying
from nightmail.stages.shards import BuildOrder, Here, PrepareOrder
from nightmail.tasks.base import Task
from nightmail.tasks.load import load
from nightmail.tasks.prepared import PreparedTask
from nightmail.testing.clock import ManualClock
from nightmail.worker.kit import Kit, kit_for, tools_of
from nightmail.worker.pool import IDLE, MAX_DEATHS, Died, Pool, ShardProcess
from nightmail.worker.service import shards_for

SECOND = timedelta(seconds=1)
RUN = RunId("asking-0000")
TASK = """
import os, signal
from pathlib import Path
import nightmail

class Asking(nightmail.Task):
    model = "text-embedding-3-small"
    endpoint = "embeddings"

    def build(self, record):
        {body}
        return record["text"]
"""


class Bench:
    """A task file, an input of three records, and the same tools here and in a pool."""

    def __init__(self, folder: Path, body: str = "pass") -> None:
        self.folder = folder
        (folder / "asking.py").write_text(TASK.format(body=textwrap.indent(body, " " * 8).lstrip()))
        self.input = folder / "rows.jsonl"
        self.input.write_text("".join(f'{{"id": "r{n}", "text": "thing {n}"}}\n' for n in range(3)))
        self.task = PreparedTask(load(f"{folder / 'asking.py'}:Asking"))
        self.spool = Spool(folder / "spool")
        self.here = self.tools(self.spool)

    def tools(self, spool: Spool) -> Here:
        provider = OpenAIProvider.open(base_url="http://127.0.0.1:1/v1", api_key="none")
        return shards_for(RUN, self.task, provider, JsonlSource([self.input]), spool)

    def run(self) -> Run:
        spec = RunSpec(
            task=str(self.folder / "asking.py"), task_name="Asking", source_paths=(str(self.input),),
            base_url="http://127.0.0.1:1/v1",
        )  # fmt: skip
        now = ManualClock().now()
        return Run(
            run_no=1, run_id=RUN, identity="i", state=RunState.OPEN, spec=spec, fingerprint={}, created_at=now
        )  # fmt: skip

    def kit(self) -> Kit:
        kit = kit_for(self.run(), self.task, self.spool.root)
        assert kit is not None
        return kit

    def order(self) -> BuildOrder:
        (piece,) = JsonlSource([self.input]).pieces(Position())
        keying = Keying(KeyKind.TEXT, "id")
        return BuildOrder(
            piece=piece, first_seq=1, record_count=3, keying=keying, file_path="lines.jsonl", piece_path=None
        )

    def lines(self) -> bytes:
        return self.spool.read_whole("lines.jsonl")


@pytest.fixture
def pools() -> Iterator[list[Pool]]:
    made: list[Pool] = []
    yield made
    for pool in made:
        pool.close()


def pool_of(bench: Bench, pools: list[Pool], kit: Kit | None = None) -> Pool:
    pools.append(Pool(kit or bench.kit(), bench.here, processes=1, worth=(0, 0)))
    return pools[-1]


async def test_a_process_builds_the_same_lines(tmp_path, pools):
    bench = Bench(tmp_path, 'print("what a task prints is no answer")')
    built = await bench.here.build(bench.order())
    expected = bench.lines()
    bench.spool.delete("lines.jsonl")
    pool = pool_of(bench, pools)

    again = await pool.build(bench.order())

    assert msgspec.to_builtins(again) == msgspec.to_builtins(built)
    assert again.rows.seqs == [1, 2, 3]
    assert bench.lines() == expected
    assert len(pool.pids) == 1
    assert pool.pids != [os.getpid()]


@pytest.mark.end_to_end
async def test_a_process_reads_the_piece_that_it_builds_and_keeps_it_if_it_is_wanted_again(tmp_path, pools):
    bench = Bench(tmp_path, "")
    whole = bench.order()
    built = await bench.here.build(whole)
    expected = bench.lines()
    bench.spool.delete("lines.jsonl")
    reference = whole.piece.whole().reference()
    assert reference is not None
    order = msgspec.structs.replace(whole, piece=reference, piece_path="1.piece")

    again = await pool_of(bench, pools).build(order)

    assert msgspec.to_builtins(again) == msgspec.to_builtins(built)
    assert bench.lines() == expected
    assert msgspec.msgpack.decode(bench.spool.read_whole("1.piece"), type=Piece) == whole.piece


async def test_a_process_killed_in_the_middle_of_a_shard_is_replaced_and_the_shard_done_again(
    tmp_path, pools
):
    dies_once = f"""
once = Path({str(tmp_path / "once")!r})
if record["id"] == "r1" and not once.exists():
    once.touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    bench = Bench(tmp_path, dies_once.strip())

    built = await pool_of(bench, pools).build(bench.order())

    assert (tmp_path / "once").exists()
    assert built.rows.seqs == [1, 2, 3]
    assert bench.lines().count(b"\n") == 3


@pytest.mark.end_to_end
async def test_a_shard_that_kills_every_process_is_given_up_with_words(tmp_path, pools):
    bench = Bench(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    pool = pool_of(bench, pools)

    with pytest.raises(InternalError, match=f"died {MAX_DEATHS} times over the same work"):
        await pool.build(bench.order())

    assert pool.pids == []


async def test_what_the_user_must_mend_keeps_its_class_and_words(tmp_path, pools):
    bench = Bench(tmp_path)
    bench.spool.root.write_text("a file where a folder should be")

    with pytest.raises(StoreError, match=r"lines\.jsonl cannot be written"):
        await pool_of(bench, pools).build(bench.order())


async def test_any_other_exception_says_where_it_came_from(tmp_path, pools):
    bench = Bench(tmp_path)
    order = msgspec.structs.replace(bench.order(), keying=Keying(KeyKind.TEXT, "id"))
    broken = msgspec.structs.replace(order, file_path="x\0y")

    with pytest.raises(InternalError, match=r"(?s)ValueError: embedded null byte.*shards\.py"):
        await pool_of(bench, pools).build(broken)


async def test_a_task_that_is_another_elsewhere_is_done_here(tmp_path, pools, caplog):
    bench = Bench(tmp_path)
    kit = msgspec.structs.replace(bench.kit(), fingerprint={"build": "another"})
    pool = pool_of(bench, pools, kit)

    with caplog.at_level(logging.WARNING):
        built = [await pool.build(bench.order()) for _ in range(2)]

    assert [each.rows.seqs for each in built] == [[1, 2, 3]] * 2
    assert pool.pids == []
    (told,) = caplog.records
    assert "is not the task that the run was started with" in told.getMessage()


@pytest.mark.end_to_end
async def test_runs_that_share_places_have_so_many_processes_together(tmp_path, pools):
    bench, one_place = Bench(tmp_path), threading.Semaphore(1)
    for _ in range(2):
        pools.append(Pool(bench.kit(), bench.here, processes=1, worth=(0, 0), places=one_place))
    first, second = pools
    built = await first.build(bench.order())

    again = await second.build(bench.order())

    assert msgspec.to_builtins(again) == msgspec.to_builtins(built)
    assert (len(first.pids), len(second.pids)) == (1, 0)
    first.close()
    await second.build(bench.order())
    assert len(second.pids) == 1


async def test_little_work_starts_no_process(tmp_path, pools):
    bench = Bench(tmp_path)
    pools.append(Pool(bench.kit(), bench.here))
    pools[-1].expect(1_000)

    await pools[-1].build(bench.order())

    assert pools[-1].pids == []


async def test_some_work_is_worth_one_process_and_much_is_worth_all(tmp_path, pools):
    bench = Bench(tmp_path)
    pools.append(Pool(bench.kit(), bench.here, processes=2, worth=(10, 10_000)))
    pool = pools[-1]
    pool.expect(50)
    await asyncio.gather(*(pool.build(bench.order()) for _ in range(3)))
    assert len(pool.pids) == 1

    pool.expect(10_001)

    async with asyncio.timeout(60):
        while len(pool.pids) < 2:
            await asyncio.to_thread(pool._threads.submit(lambda: None).result)


async def test_building_leaves_a_processor_to_this_process_and_results_that_wait_take_all(
    tmp_path, pools, monkeypatch
):
    monkeypatch.setattr("nightmail.worker.pool._processors", lambda: 3)
    bench = Bench(tmp_path)
    pools.append(Pool(bench.kit(), bench.here, worth=(10, 10_000)))
    pool = pools[-1]
    pool.expect(20_000)
    await pool.build(bench.order())
    opened = [pool._opened]

    async def elsewhere(order, kind):
        opened.append(pool._opened)

    monkeypatch.setattr(pool, "_elsewhere", elsewhere)
    for size in (10_000, 10_001, 10_000):
        await pool.judge(SimpleNamespace(files=[SimpleNamespace(bytes=size)]))
    assert opened == [2, 2, 3, 3]
    assert pool._judging == 0


async def test_orders_that_wait_for_a_process_when_the_pool_is_closed_start_none(tmp_path, pools):
    bench = Bench(tmp_path, f"Path({str(tmp_path)!r}, 'begun').touch(); signal.pause()")
    pools.append(Pool(bench.kit(), bench.here, processes=2, worth=(0, 10**9)))
    orders = [asyncio.create_task(pools[-1].build(bench.order())) for _ in range(2)]
    async with asyncio.timeout(60):
        while not (tmp_path / "begun").exists():
            await asyncio.sleep(0)

    await asyncio.to_thread(pools[-1].close)

    for told in await asyncio.gather(*orders, return_exceptions=True):
        assert isinstance(told, Died | asyncio.CancelledError)
    assert pools[-1].pids == []


async def test_a_process_that_was_started_ahead_is_the_first_of_the_pool(tmp_path, pools):
    bench = Bench(tmp_path)
    processes.start_ahead(processes.WORTH_ONE + 1)
    (ahead,) = processes._ahead

    built = await pool_of(bench, pools).build(bench.order())

    assert built.rows.seqs == [1, 2, 3]
    assert pools[-1].pids == [ahead.pid]
    assert processes.taken_ahead() is None


@pytest.mark.end_to_end
async def test_a_process_started_ahead_loads_the_task_that_it_is_told(tmp_path):
    imported = tmp_path / "imported"
    (tmp_path / "told.py").write_text(f"""
from pathlib import Path
import nightmail

class Told(nightmail.Task):
    model = "text-embedding-3-small"

    def build(self, record):
        return record["text"]

Path({str(imported)!r}).touch()
""")
    processes.start_ahead(processes.WORTH_ONE + 1)

    processes.tell_ahead(str(tmp_path / "told.py"), None)

    async with asyncio.timeout(60):
        while not imported.exists():
            await asyncio.sleep(0)
    processes.drop_ahead()


async def test_what_it_is_told_wrongly_harms_nothing(tmp_path, pools):
    bench = Bench(tmp_path)
    (tmp_path / "ends.py").write_text("raise SystemExit(3)")
    processes.start_ahead(processes.WORTH_ONE + 1)
    (ahead,) = processes._ahead
    for task in ("there is none", "no\udcfftext.py", str(tmp_path / "ends.py"), str(tmp_path / "asking.py")):
        processes.tell_ahead(task, "no-such-model")

    built = await pool_of(bench, pools).build(bench.order())

    assert built.rows.seqs == [1, 2, 3]
    assert pools[-1].pids == [ahead.pid]


@pytest.mark.end_to_end
async def test_one_that_died_before_it_was_needed_is_replaced(tmp_path, pools):
    bench = Bench(tmp_path)
    processes.start_ahead(processes.WORTH_ONE + 1)
    (ahead,) = processes._ahead
    os.kill(ahead.pid, signal.SIGKILL)

    built = await pool_of(bench, pools).build(bench.order())

    assert built.rows.seqs == [1, 2, 3]
    assert ahead.pid not in pools[-1].pids


@pytest.mark.end_to_end
async def test_processes_are_made_ready_before_there_is_a_piece_to_build(tmp_path, pools, monkeypatch):
    bench = Bench(tmp_path)
    carried_out: list[bytes] = []
    carry_out = ShardProcess.carry_out

    def noted(self: ShardProcess, order: bytes) -> bytes:
        carried_out.append(order)
        return carry_out(self, order)

    monkeypatch.setattr(ShardProcess, "carry_out", noted)
    pool = pool_of(bench, pools)

    pool.expect(1)
    await pool.build(bench.order())

    assert carried_out[0] == msgspec.msgpack.encode(PrepareOrder())
    assert len(carried_out) == 2


@pytest.mark.end_to_end
async def test_a_process_that_is_being_started_when_the_pool_is_closed_ends_too(tmp_path, pools, monkeypatch):
    starting, closed = threading.Event(), threading.Event()
    begin = ShardProcess.__init__

    def slowly(self: ShardProcess, kit: Kit) -> None:
        starting.set()
        assert closed.wait(60)
        begin(self, kit)

    def ended(self: Pool) -> None:
        end_running(self)
        closed.set()

    end_running = Pool._end_running
    monkeypatch.setattr(ShardProcess, "__init__", slowly)
    monkeypatch.setattr(Pool, "_end_running", ended)
    pool = pool_of(Bench(tmp_path), pools)
    pool.expect(1)
    assert await asyncio.to_thread(starting.wait, 60)

    await asyncio.to_thread(pool.close)

    assert pool.pids == []


@pytest.mark.end_to_end
async def test_what_cannot_be_made_ready_fails_with_the_first_piece(tmp_path, pools, monkeypatch):
    bench = Bench(tmp_path)
    monkeypatch.setattr(ShardProcess, "carry_out", _raising(ConfigError("no tokenizer here")))
    pool = pool_of(bench, pools)

    pool.expect(1)

    with pytest.raises(ConfigError, match="no tokenizer here"):
        await pool.build(bench.order())


def _raising(error: Exception) -> Any:
    def raised(*_: Any) -> bytes:
        raise error

    return raised


class Counting(Task):
    model = "gpt-4o-mini"

    def __init__(self, start: int = 0) -> None:
        self.start = start

    def build(self, record: Any) -> str:
        return str(self.start)


@pytest.mark.parametrize(("task", "can"), [(Counting, True), (Counting(), True), (Counting(5), False)])
def test_only_what_its_name_makes_again_can_be_done_elsewhere(tmp_path, monkeypatch, task, can):
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Counting.__module__])

    assert (kit_for(Bench(tmp_path).run(), PreparedTask(task), tmp_path) is not None) is can


def test_a_class_inside_a_function_cannot(tmp_path):
    class Inner(Counting):
        pass

    assert kit_for(Bench(tmp_path).run(), PreparedTask(Inner), tmp_path) is None


def test_a_kit_makes_the_tools_of_the_run(tmp_path):
    bench = Bench(tmp_path)

    tools = tools_of(bench.kit())

    assert tools.task.fingerprint() == bench.task.fingerprint()
    assert tools.source.paths == (bench.input,)
    assert (tools.run_id, tools.spool.root) == (RUN, bench.spool.root)
    with pytest.raises(SourceError):
        list(JsonlSource([tmp_path / "nothing"]).pieces(Position()))


@pytest.mark.end_to_end
async def test_processes_end_while_a_run_only_waits_and_are_back_when_there_is_work(tmp_path, pools):
    bench, clock = Bench(tmp_path), ManualClock()
    pool = pool_of(bench, pools)
    await pool.build(bench.order())
    pool.rest(clock.now())
    clock.advance(IDLE - SECOND)
    pool.rest(clock.now())
    (before,) = pool.pids

    await pool.build(bench.order())
    clock.advance(2 * SECOND)
    pool.rest(clock.now())
    assert pool.pids == [before], "an order in between begins the wait anew"

    clock.advance(IDLE)
    pool.rest(clock.now())
    built = await pool.build(bench.order())

    assert built.rows.seqs == [1, 2, 3]
    assert len(pool.pids) == 1
    assert pool.pids != [before]
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
