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
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from nightmail import errors
from nightmail.errors import InternalError, NightmailError
from nightmail.stages.shards import BuildOrder, BuiltPiece, Here, JudgeOrder
from nightmail.stages.verdicts import Verdicts
from nightmail.worker.kit import Kit
from nightmail.worker.shard_process import DONE, FAILED, Failed, receive, send

logger = logging.getLogger(__name__)

# A process needs most of a second to be ready, and this process takes a third of the work itself (the
# store): more than four find nothing to do.
MOST_PROCESSES = 4
# Bytes of records or results. The first are worth one process, which starts while this one still imports what
# it needs; the second is about a second of work, as much as each of the others needs before its first.
WORTH_ONE = 10_000_000
WORTH_ALL = 96_000_000
MAX_DEATHS = 3
# Without an order for so long, the processes end: each holds 150 MB and is back within a second.
IDLE = timedelta(seconds=30)
START = "from nightmail.worker.shard_process import main; main()"

T = TypeVar("T")


class Died(Exception):
    """A process ended in the middle of an order."""


class Unable(Exception):
    """A process was started and cannot make the run's tools."""


class ShardProcess:
    """One process, used by one thread at a time."""

    def __init__(self, kit: Kit) -> None:
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # There is a process for each processor: threads of a numeric library, which it starts as soon
                # as it is imported, would only be in each other's way.
                env={"OPENBLAS_NUM_THREADS": "1", **os.environ, "PYTHONPATH": path},
            )
        except OSError as error:
            raise Unable(str(error)) from error
        self.pid = self._process.pid
        mark, body = self._ask(msgspec.msgpack.encode(kit))
        if mark == FAILED:
            self.close()
            raise Unable(msgspec.msgpack.decode(body, type=Failed).message)

    def carry_out(self, order: bytes) -> bytes:
        """The answer to an order. Raises what carrying it out raised, or `Died`."""
        mark, body = self._ask(order)
        if mark == FAILED:
            raise _raised(msgspec.msgpack.decode(body, type=Failed))
        return body

    def close(self) -> None:
        """End it; an order that is under way is lost."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            try:
                pipe.close()
            except OSError:
                continue

    def _ask(self, message: bytes) -> tuple[bytes, bytes]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            send(self._process.stdin, DONE, message)
            answer = receive(self._process.stdout)
        except (OSError, ValueError) as error:
            raise Died(str(error)) from error
        if answer is None:
            raise Died(f"it ended with code {self._process.wait()}")
        return answer


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
        self._worth_one, self._worth_all = worth or (WORTH_ONE, WORTH_ALL)
        self._seen = self._expected = 0
        self._unable = False
        self._closed = False
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="nightmail-shard")
        self._free: queue.SimpleQueue[ShardProcess | None] = queue.SimpleQueue()
        self._opened = 0  # processes that there may be
        self._running: set[ShardProcess] = set()
        self._orders = 0  # under way, or waiting for a process
        self._idle_since: datetime | None = None
        self._places = places or threading.Semaphore(count)
        self._lock = threading.Lock()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._running]

    def expect(self, size: int) -> None:
        """Start the processes now that so many bytes are worth."""
        self._expected = size
        self._see(0)
        for _ in range(self._opened):
            self._threads.submit(self._warm)

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
        if calls_back or self._is_small(sum(file.bytes for file in order.files)):
            return await self._here.judge(order)
        try:
            return await self._elsewhere(order, Verdicts)
        except Unable:
            return await self._here.judge(order)

    def close(self) -> None:
        """End every process."""
        self._closed = True
        for process in list(self._running):
            self._end(process)
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _is_small(self, size: int) -> bool:
        self._see(size)
        return self._unable or self._work <= self._worth_one

    def _see(self, size: int) -> None:
        self._seen += size
        work = self._work
        worth = self._count if work > self._worth_all else int(work > self._worth_one)
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
        except (Died, Unable) as error:
            # Whoever has an order for it meets the same and says so.
            logger.debug("a process was not ready in advance: %s", error)
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
