"""Shards in other processes: as many as there are processors, each with one order at a time.

Orders are carried out here until so much work has been seen that starting processes pays. A process that
dies is replaced and its order given again, which is safe because an order can be done twice. While a run
only waits for its provider, which may be hours, there are none.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from nightmail import errors
from nightmail.errors import InternalError, NightmailError
from nightmail.processes import FAILED, WORTH_ONE, Died, OrderProcess, taken_ahead
from nightmail.stages.shards import BuildOrder, BuiltPiece, Here, JudgeOrder, PrepareOrder
from nightmail.stages.verdicts import Verdicts
from nightmail.worker.kit import Kit
from nightmail.worker.shard_process import Failed

logger = logging.getLogger(__name__)

# A process needs most of a second to be ready, and this process takes a third of the work itself (the
# store): more than four find nothing to do.
MOST_PROCESSES = 4
# Bytes of records, or of results that wait. `WORTH_ONE` are worth one process, which starts while this one
# still imports what it needs; these are about a second of work, as much as each of the others needs before
# its first.
WORTH_ALL = 96_000_000
MAX_DEATHS = 3
# Pieces that processes build before all of the source is known to be good: a second's work. What comes of
# them, a hundred bytes a record, waits in memory.
EARLY = 32
# Without an order for so long, the processes end: each holds 150 MB and is back within a second.
IDLE = timedelta(seconds=30)

T = TypeVar("T")


class Unable(Exception):
    """A process was started and cannot make the run's tools."""


class ShardProcess:
    """A process with the tools of a run, used by one thread at a time."""

    def __init__(self, kit: Kit) -> None:
        try:
            self._process = taken_ahead() or OrderProcess()
        except OSError as error:
            raise Unable(str(error)) from error
        self.pid = self._process.pid
        try:
            mark, body = self._process.ask(msgspec.msgpack.encode(kit))
            if mark == FAILED:
                raise Unable(msgspec.msgpack.decode(body, type=Failed).message)
        except (Died, Unable):
            self.close()
            raise

    def carry_out(self, order: bytes) -> bytes:
        """The answer to an order. Raises what carrying it out raised, or `Died`."""
        mark, body = self._process.ask(order)
        if mark == FAILED:
            raise _raised(msgspec.msgpack.decode(body, type=Failed))
        return body

    def close(self) -> None:
        """End it; an order that is under way is lost."""
        self._process.close()


class Pool:
    """See `nightmail.stages.ports.Shards`. `here` does what no process can do, or what is not worth one.
    Pools that share their `places` have so many processes together; who gets none works here."""

    def __init__(
        self,
        kit: Kit,
        here: Here,
        *,
        processes: int | None = None,
        worth: tuple[int, int] | None = None,
        places: threading.Semaphore | None = None,
    ) -> None:
        count = processes or min(MOST_PROCESSES, _processors())
        self.ahead = count + 1
        self._kit = kit
        self._here = here
        self._count = count
        # One processor is for this process, which reads, sends and fetches while requests are built.
        self._builders = processes or max(1, count - 1)
        self._worth_one, self._worth_all = worth or (WORTH_ONE, WORTH_ALL)
        self._seen = self._expected = 0
        self._unable = False
        self._closed = False
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="nightmail-shard")
        self._free: queue.SimpleQueue[ShardProcess | None] = queue.SimpleQueue()
        self._opened = 0  # processes that there may be
        self._running: set[ShardProcess] = set()
        self._orders = 0  # under way, or waiting for a process
        self._judging = 0  # bytes of results, under way or waiting
        self._idle_since: datetime | None = None
        self._places = places or threading.Semaphore(count)
        self._lock = threading.Lock()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._running]

    @property
    def early(self) -> int:
        return EARLY if self._opened and not self._unable else 0

    def expect(self, size: int) -> bool:
        """Start the processes now that building so many bytes is worth, and make them ready for it. Are there
        any?"""
        self._expected = size
        self._see(0)
        for _ in range(self._opened):
            self._threads.submit(self._warm)
        return self._opened > 0

    def rest(self, now: datetime) -> None:
        """To be told the time now and then: ends the processes if there was no order between two times that
        are `IDLE` apart. What comes then is work for this process, until there is enough again."""
        if self._orders or not self._running:
            self._idle_since = None
        elif self._idle_since is None or now < self._idle_since:
            self._idle_since = now
        elif now - self._idle_since >= IDLE:
            self._idle_since = None
            self._seen = self._expected = 0
            for _ in range(self._opened):
                self._threads.submit(self._end_free)

    async def build(self, order: BuildOrder) -> BuiltPiece:
        if self._is_small(order.piece.size):
            return await self._here.build(order)
        try:
            return await self._elsewhere(order, BuiltPiece)
        except Unable:
            return await self._here.build(order)

    async def judge(self, order: JudgeOrder) -> Verdicts:
        # `on_output` belongs to this process: what it does with its own variables must be seen here.
        calls_back = self._here.tools.task.calls_on_output
        size = sum(file.bytes for file in order.files)
        self._judging += size
        try:
            if calls_back or self._is_small(size):
                return await self._here.judge(order)
            return await self._elsewhere(order, Verdicts)
        except Unable:
            return await self._here.judge(order)
        finally:
            self._judging -= size

    def close(self) -> None:
        """End every process."""
        self._closed = True
        self._end_running()
        self._threads.shutdown(wait=True, cancel_futures=True)
        # Also one that was being started meanwhile.
        self._end_running()

    def _is_small(self, size: int) -> bool:
        self._see(size)
        return self._unable or self._work <= self._worth_one

    def _see(self, size: int) -> None:
        self._seen += size
        work = self._work
        worth = self._builders if work > self._worth_all else int(work > self._worth_one)
        if self._judging > self._worth_all:
            worth = self._count
        while self._opened < worth:
            self._opened += 1
            self._free.put(None)

    @property
    def _work(self) -> int:
        return max(self._seen, self._expected)

    async def _elsewhere(self, order: BuildOrder | JudgeOrder, kind: type[T]) -> T:
        loop = asyncio.get_running_loop()
        work: Callable[[], T] = lambda: msgspec.msgpack.decode(self._carry_out(order), type=kind)  # noqa: E731
        self._orders += 1
        try:
            return await loop.run_in_executor(self._threads, work)
        finally:
            self._orders -= 1
            self._idle_since = None

    def _carry_out(self, order: BuildOrder | JudgeOrder) -> bytes:
        message = msgspec.msgpack.encode(order)
        for _ in range(MAX_DEATHS):
            process = self._free.get()
            try:
                if self._closed:
                    raise Died("the run is left")
                if process is None:
                    process = self._started()
                return process.carry_out(message)
            except Died as death:
                if process is not None:
                    self._end(process)
                    process = None
                if self._closed:
                    raise
                logger.warning("a process died over its work, which is done again: %s", death)
            finally:
                self._free.put(process)
        raise InternalError(
            f"a process died {MAX_DEATHS} times over the same work; see the messages above, or the system's "
            "log if it ran out of memory"
        )

    def _warm(self) -> None:
        process = self._free.get()
        try:
            process = process or self._started()
            process.carry_out(msgspec.msgpack.encode(PrepareOrder()))
        except (Died, Unable, NightmailError) as error:
            # Whoever has an order for it meets the same and says so.
            logger.debug("a process was not ready in advance: %s", error)
            if process is not None and isinstance(error, Died):
                self._end(process)
                process = None
        finally:
            self._free.put(process)

    def _end_free(self) -> None:
        process = self._free.get()
        if process is not None:
            self._end(process)
        self._free.put(None)

    def _started(self) -> ShardProcess:
        if not self._places.acquire(blocking=False):
            raise Unable("other runs have all processes")
        try:
            process = ShardProcess(self._kit)
        except Died:
            self._places.release()
            raise
        except Unable as error:
            self._places.release()
            if not self._unable:
                logger.warning("work goes on in one process, since another cannot do it: %s", error)
            self._unable = True
            raise
        self._running.add(process)
        return process

    def _end_running(self) -> None:
        for process in list(self._running):
            self._end(process)

    def _end(self, process: ShardProcess) -> None:
        process.close()
        # A process that died may be ended by its thread and by `close` at once.
        with self._lock:
            if process in self._running:
                self._running.remove(process)
                self._places.release()


def places() -> threading.Semaphore:
    """Room for the processes of all runs of one worker."""
    return threading.Semaphore(min(MOST_PROCESSES, _processors()))


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _raised(failed: Failed) -> NightmailError:
    """The same error here, if it is one that is written for people."""
    kind = getattr(errors, failed.kind, None)
    if isinstance(kind, type) and issubclass(kind, NightmailError):
        return kind(failed.message)
    return InternalError(f"{failed.kind}: {failed.message}\n{failed.trace}")
