"""in_progress -> ended, one call at a time: what mode `sync` does instead of submit, poll and ingest.

Each answer is appended, as the line that a batch would have given, to the batch's result file; from
there on everything is the same code. After a crash the lines that are there stay, half a line is cut
off, and only the rest is called: what was on its way at that moment may be paid twice, which no client
of a synchronous API can prevent.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from io import FileIO

from nightmail.core.batch import Batch, Phase
from nightmail.core.ids import custom_id, seq_of
from nightmail.core.lifecycle import BatchEvent
from nightmail.core.quota import Hold
from nightmail.core.request import Mode
from nightmail.core.retry import RETRYABLE_STATUS
from nightmail.core.run import Run, Wish
from nightmail.core.throttle import Throttle
from nightmail.core.travel import in_last_stretch, may_cost_more
from nightmail.errors import ConfigError, ProviderUnavailable, RateLimited, Unsupported
from nightmail.providers.base import CallReply, Rates
from nightmail.stages.money import admission
from nightmail.stages.plan import limits_for
from nightmail.stages.ports import Ports
from nightmail.stages.submit import is_fresh
from nightmail.stages.verdicts import results_name
from nightmail.stores.base import Member

OBJECTIONS = (429, 503)
# A call that got no answer is made again so often before the whole batch takes a rest.
LOST_CALLS = 3
# Between two looks at what no answer tells: wishes, the lease, a worker that is to stop.
LOOK_EVERY = timedelta(seconds=0.5)
# Another portion that has all the room tells nobody when it needs less.
ROOM_EVERY = 0.05
# After so many refusals in a row a run in mode `auto`, which is small, pays the full price.
FLEX_REFUSALS = 10


async def start_calls(ports: Ports, run: Run, batch: Batch) -> Batch | Hold:
    """planned -> in_progress, if the money is there: nothing has to be created anywhere."""
    limits = limits_for(ports.provider, run.spec, batch.model, batch.endpoint, batch.mode)
    return await ports.store.batches.claim_submit(
        ports.lease,
        batch,
        await admission(ports, run, batch, limits),
        event=BatchEvent.CALLS_STARTED,
        now=ports.now(),
    )


async def call(ports: Ports, run: Run, batch: Batch, throttle: Throttle, stop: asyncio.Event) -> Batch:
    """Make the calls of a batch that have no answer yet. When `stop` is set no more are made, those on
    their way are waited for, and the batch stays in progress. Raises `ProviderError` when the provider is
    out of reach; what was answered until then is kept."""
    name = results_name(ports.run_id, batch, "output")
    answered = await asyncio.to_thread(_answered, ports, batch, name)
    members = await ports.store.requests.members(batch)
    paths = await ports.store.requests.file_paths(batch.run_no)
    todo = deque(member for member in members if member.seq not in answered)
    file = await _opened(ports, name)
    try:
        with ports.spool.reading() as read:
            await _Calls(ports, run, batch, throttle, todo, paths, read, file, stop).make()
        await asyncio.to_thread(os.fsync, file.fileno())
        size = file.tell()
    finally:
        file.close()
    if todo and stop.is_set():
        return batch
    stopped = bool(todo)
    await ports.store.requests.record_file(ports.lease, path=name, bytes=size)
    now = ports.now()
    return await ports.store.batches.record(
        ports.lease,
        batch,
        BatchEvent.ENDED,
        now=now,
        phase=Phase.CANCELLED if stopped else Phase.COMPLETED,
        status="stopped" if stopped else "called",
        completed=batch.requests - len(todo),
        ingested_at=now,
        due_at=None,
    )


async def _opened(ports: Ports, name: str) -> FileIO:
    opening = asyncio.ensure_future(asyncio.to_thread(ports.spool.appendable, name))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        # The thread opens it all the same, and nobody else would close it.
        (await opening).close()
        raise


class _Calls:
    """The calls of one batch: a queue of what is to do, and the answers as they come."""

    def __init__(
        self,
        ports: Ports,
        run: Run,
        batch: Batch,
        throttle: Throttle,
        todo: deque[Member],
        paths: dict[int, str],
        read: Callable[[str, int, int], bytes],
        file: FileIO,
        stop: asyncio.Event,
    ) -> None:
        self._ports = ports
        self._run = run
        self._batch = batch
        self._flex = batch.mode is Mode.FLEX
        self._without_flex = 0
        self._throttle = throttle
        self._todo = todo
        self._paths = paths
        self._read = read
        self._file = file
        self._stop = stop
        self._affirmed_at: datetime | None = None
        self._looked_at: datetime | None = None
        self._lost: dict[int, int] = {}
        self._wake = asyncio.Event()
        self._failure: BaseException | None = None
        self._is_ending = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def make(self) -> None:
        """Return when every request has its line, the run is being cancelled or the worker stopped."""
        tasks = self._tasks
        try:
            while (self._todo or tasks) and self._failure is None:
                if self._stop.is_set() and not tasks:
                    break
                await self._affirm()
                self._fill()
                self._wake.clear()
                await self._ports.clock.wait(self._pause(idle=not tasks), wake=self._wake)
                if self._todo and await self._unwanted():
                    break
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            raise
        finally:
            self._is_ending = True
            if tasks:
                await asyncio.gather(*tasks, return_exceptions=True)
        if self._failure is not None:
            raise self._failure

    def _fill(self) -> None:
        """Send what there is room for, unless something else has to be looked at before."""
        if self._is_ending or self._failure is not None:
            return
        now = self._ports.now()
        if not is_fresh(self._affirmed_at, now):
            return
        while self._todo and not self._stop.is_set() and self._throttle.admits(now):
            member = self._todo.popleft()
            task = asyncio.create_task(self._one(member, self._throttle.sent()))
            self._tasks.add(task)
            task.add_done_callback(self._over)

    async def _affirm(self) -> None:
        """Raise `LeaseLost` if the run is somebody else's: calls cost, and this process may have slept. What
        it states is fresh until the next time and a look longer."""
        while not is_fresh(self._affirmed_at, self._ports.now() + 2 * LOOK_EVERY):
            now = self._affirmed_at = self._ports.now()
            await self._ports.store.batches.record(self._ports.lease, self._batch, None, now=now)

    def _pause(self, *, idle: bool) -> float:
        """Until the provider lets us go on, if it named a time and something waits for it; a moment, if
        nothing of ours is on its way that would wake us when it is answered."""
        look = LOOK_EVERY.total_seconds()
        left = self._throttle.blocked_for(self._ports.now()).total_seconds()
        if not self._todo or not left:
            return ROOM_EVERY if idle else look
        return min(look, max(0.01, left))

    async def _unwanted(self) -> bool:
        """Is the run to be cancelled? Looked up now and then: calls come back by the hundred in a second."""
        now = self._ports.now()
        if self._looked_at is not None and self._looked_at <= now < self._looked_at + LOOK_EVERY:
            return False
        self._looked_at = now
        run = await self._ports.store.runs.read(self._ports.run_id)
        return run is not None and run.wish is Wish.CANCEL

    def _by_flex(self) -> bool:
        """By flex, unless it is refused again and again or there is no time for it, and the run may pay."""
        if not self._flex or in_last_stretch(self._run, self._ports.now()):
            return False
        return not (self._run.spec.mode is Mode.AUTO and self._without_flex >= FLEX_REFUSALS)

    async def _one(self, member: Member, window: int) -> None:
        try:
            await self._call(member, window)
            # What an answer makes room for goes at once, not when all that came with it are taken in.
            self._fill()
        except BaseException as error:
            if self._failure is None:
                self._failure = error

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # Calls that are answered send the next ones themselves. To be woken by each cost a twentieth of the
        # CPU.
        if not self._tasks or self._failure is not None or self._throttle.blocked_for(self._ports.now()):
            self._wake.set()

    async def _call(self, member: Member, window: int) -> None:
        ports, throttle = self._ports, self._throttle
        line = self._read(self._paths[member.file_no], member.offset, member.length)
        body = ports.provider.request_body(line)
        try:
            flex = self._by_flex()
            reply = await ports.provider.call(self._batch.endpoint, body, flex=flex)
        except Unsupported as error:
            throttle.lost()
            if not may_cost_more(self._run):
                raise ConfigError(f"{str(error).rstrip('.')}. Choose --mode batch or --mode sync.") from error
            self._flex = False
            self._todo.append(member)
            return
        except RateLimited as error:
            throttle.refused(ports.now(), error.retry_after, window=window)
            self._todo.append(member)
            return
        except ProviderUnavailable:
            throttle.lost()
            lost = self._lost[member.seq] = self._lost.get(member.seq, 0) + 1
            if lost >= LOST_CALLS:
                raise
            throttle.block(ports.now(), lost * 1.0)
            self._todo.append(member)
            return
        except BaseException:
            throttle.lost()
            raise
        if reply.status in OBJECTIONS:
            self._without_flex += flex
            throttle.refused(ports.now(), reply.rates.retry_after, window=window)
            self._todo.append(member)
            return
        self._without_flex = 0
        throttle.answered()
        if (wait := _used_up(reply.rates)) is not None:
            throttle.block(ports.now(), wait)
        ports.spool.append(self._file, _line(ports, member, reply))


def _line(ports: Ports, member: Member, reply: CallReply) -> bytes:
    return ports.provider.result_line(custom_id(ports.run_id, member.seq), reply)


def _used_up(rates: Rates) -> float | None:
    """Seconds until the minute's requests or tokens are there again, if none are left."""
    waits = [
        reset
        for left, reset in (
            (rates.remaining_requests, rates.reset_requests),
            (rates.remaining_tokens, rates.reset_tokens),
        )
        if left is not None and left <= 0 and reset is not None
    ]
    return max(waits) if waits else None


def _answered(ports: Ports, batch: Batch, name: str) -> set[int]:
    """Requests that have their line from before a crash."""
    if not ports.spool.exists(name):
        return set()
    found: set[int] = set()
    for _, line in ports.spool.lines(name):
        try:
            result = ports.provider.read_result(line, batch.endpoint)
        except ValueError:
            continue  # half a line: cut off when the file is opened for more
        if result.custom_id is not None and result.status not in RETRYABLE_STATUS:
            seq = seq_of(result.custom_id, ports.run_id)
            if seq is not None:
                found.add(seq)
    return found
