"""CPU time per stage, taken by wrapping functions of nightmail from outside.

Nothing in the product knows of it. What is wrapped runs once per piece, batch, transaction or file, never
per record, so that measuring costs nothing that shows. A thread's time is its own (`time.thread_time`): what
other threads burn meanwhile is theirs, and a stage within a stage is taken out of the outer one. Of a
coroutine only its own steps on the event loop are counted. What nothing claims is `rest`: imports, the event
loop, and what the interpreter does in threads that nobody wrapped.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any

STAGES = (
    "start", "survey", "read", "build+count", "write", "store", "upload", "download", "judge", "settle",
    "deliver", "processes", "rest",
)  # fmt: skip


class Meters:
    """Seconds of CPU by stage; may be fed from several threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._local = threading.local()

    def add(self, stage: str, seconds: float) -> None:
        with self._lock:
            self.seconds[stage] += seconds

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """`work`, with its CPU time booked on `stage`."""

        def measured(*arguments: Any, **named: Any) -> Any:
            began = self.enter(stage)
            try:
                return work(*arguments, **named)
            finally:
                self.leave(stage, began)

        return measured

    def timed_iterator(self, stage: str, work: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """A generator function, with the time that each item takes booked on `stage`."""

        @functools.wraps(work)
        def measured(*arguments: Any, **named: Any) -> Iterator[Any]:
            items = work(*arguments, **named)
            step = self.timed(stage, lambda: next(items, self))
            while (item := step()) is not self:
                yield item

        return measured

    def timed_coroutine(
        self, stage: str, work: Callable[..., Coroutine[Any, Any, Any]]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        """A coroutine function, with the time of its own steps booked on `stage`."""

        @functools.wraps(work)
        async def measured(*arguments: Any, **named: Any) -> Any:
            return await _Steps(self, stage, work(*arguments, **named))

        return measured

    def enter(self, stage: str) -> float:
        """A stage begins in this thread; what `leave` wants back."""
        stack = self._local.__dict__.setdefault("inner", [])
        stack.append(0.0)
        return time.thread_time()

    def leave(self, stage: str, began: float) -> None:
        """It has ended, or waits."""
        took = time.thread_time() - began
        stack = self._local.inner
        inner = stack.pop()
        if stack:
            stack[-1] += took
        self.add(stage, took - inner)


class _Steps:
    """Awaits a coroutine and measures each of its steps."""

    def __init__(self, meters: Meters, stage: str, work: Coroutine[Any, Any, Any]) -> None:
        self._meters, self._stage, self._work = meters, stage, work

    def __await__(self) -> Generator[Any, Any, Any]:
        work, answer, error = self._work, None, None
        while True:
            # A failure of what was awaited must be raised inside the coroutine, not here.
            step = (
                functools.partial(work.send, answer)
                if error is None
                else functools.partial(work.throw, error)
            )
            try:
                waited = self._meters.timed(self._stage, step)()
            except StopIteration as end:
                return end.value
            answer = error = None
            try:
                answer = yield waited
            except BaseException as raised:
                error = raised


def install(meters: Meters) -> None:
    """Wrap what the stages of a run call."""
    from nightmail.providers.openai.adapter import OpenAIProvider
    from nightmail.sinks.parquet import ParquetSink
    from nightmail.sources.jsonl import JsonlSource
    from nightmail.spool.files import Spool
    from nightmail.stages import deliver, enqueue, finish, shards
    from nightmail.stages.build import Workshop
    from nightmail.stores.database import Database
    from nightmail.worker import loop

    def wrap(owner: Any, name: str, stage: str, how: Callable[..., Any] = meters.timed) -> None:
        setattr(owner, name, how(stage, getattr(owner, name)))

    wrap(JsonlSource, "pieces", "read", meters.timed_iterator)
    for name in ("skim", "records"):
        wrap(JsonlSource, name, "read")
    wrap(enqueue, "survey", "survey", meters.timed_iterator)
    wrap(Workshop, "build", "build+count")
    wrap(Spool, "write", "write")
    wrap(Database, "_transact", "store")
    wrap(Spool, "joined", "upload")
    wrap(loop, "submit", "upload", meters.timed_coroutine)
    wrap(OpenAIProvider, "upload", "upload", meters.timed_coroutine)
    wrap(loop, "ingest", "download", meters.timed_coroutine)
    wrap(shards, "judge_batch", "judge")
    wrap(loop, "settle", "settle", meters.timed_coroutine)
    wrap(finish, "deliver", "deliver", meters.timed_coroutine)
    wrap(deliver, "_window", "deliver")
    for name in ("write", "close"):
        wrap(ParquetSink, name, "deliver")
