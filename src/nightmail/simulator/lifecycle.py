"""The life of a batch at the provider, from `validating` to its end.

    validating ─┬─> in_progress ──> finalizing ──> completed
                │        ├────────────────────────> expired      (the window ends, or a fault says so)
                │        └──> cancelling ─────────> cancelled
                └─> failed

Answers are made as soon as a batch is in progress; realistic timing only decides when they are seen,
and a batch that ends before its time is cut where the clock stood. A batch found open at a start was
killed under way: it is looked through and answered again, and since booking is part of ending,
nothing is booked twice.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from nightmail.core.request import Endpoint
from nightmail.simulator.books import Attempts
from nightmail.simulator.catalogue import model_named, queue_of
from nightmail.simulator.clock import Clock
from nightmail.simulator.faults import Struck
from nightmail.simulator.inspection import Inspection, error, over_quota, poisoned_line, queue_full
from nightmail.simulator.making import Making
from nightmail.simulator.pool import Pool
from nightmail.simulator.records import Batch
from nightmail.simulator.settings import Settings
from nightmail.simulator.state import State
from nightmail.simulator.timing import Timeline, timeline
from nightmail.simulator.upstream import Upstream

_log = logging.getLogger("nightmail.simulator")

WINDOW = 86_400
_EXPIRED = ("batch_expired", "This request could not be executed before the completion window expired.")
_MESSAGES = {
    "billing_hard_limit_reached": "Billing hard limit has been reached.",
    "insufficient_quota": "You exceeded your current quota, please check your plan and billing details.",
    "credit_balance_exhausted": "Your credit balance is used up. Please add credits to go on.",
    "token_limit_exceeded": "Enqueued token limit reached in organization org-simulated. Please try again "
    "once some in_progress batches have been completed.",
}
_CANCELLED = ("batch_cancelled", "This request was not executed because the batch was cancelled.")


class Lifecycle:
    """Drives every open batch in a task of its own. Used from the event loop's thread."""

    def __init__(
        self, settings: Settings, state: State, clock: Clock, struck: Struck, upstream: Upstream | None
    ) -> None:
        self._settings = settings
        self._state = state
        self._clock = clock
        self.struck = struck
        self._upstream = upstream
        self._pool = Pool(settings.processes or 1)
        self.attempts = Attempts(state)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stops: dict[str, asyncio.Event] = {}
        self._makings: dict[str, Making] = {}

    def resume(self) -> None:
        """Go on with what was open when the simulator last stopped."""
        for batch in self._state.open_batches():
            self.begin(batch)

    def begin(self, batch: Batch) -> None:
        """Drive a batch from where its record says it is."""
        stop = self._stops[batch.id] = asyncio.Event()
        if batch.status == "cancelling":
            stop.set()
        task = self._tasks[batch.id] = asyncio.create_task(self._drive(batch.id, stop))
        task.add_done_callback(lambda _: self._forget(batch.id))

    def cancel(self, batch: Batch) -> None:
        """Set a batch to `cancelling`; what is done stays done."""
        batch.status = "cancelling"
        batch.stopped = self._clock.now()
        batch.cancelling_at = int(batch.stopped)
        self._state.save_batch(batch)
        self._stops[batch.id].set()

    def progress(self, batch: Batch) -> Batch:
        """The batch with its counts as they are now, by the clock and by what has been made."""
        making = self._makings.get(batch.id)
        if making is not None and batch.status in ("in_progress", "cancelling"):
            batch.completed, batch.failed = making.counts(self._shown_lines(batch, making))
        return batch

    async def close(self) -> None:
        """Stop where everything stands; `resume` of another process goes on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._pool.close()

    def _forget(self, batch_id: str) -> None:
        for kept in (self._tasks, self._stops, self._makings):
            kept.pop(batch_id, None)

    async def _drive(self, batch_id: str, stop: asyncio.Event) -> None:
        try:
            batch = self._fresh(batch_id)
            batch.executions += 1
            self._state.save_batch(batch)
            making = self._makings[batch_id] = self._making(batch)
            line = self._timeline(batch)
            found = await making.inspect(at_once=line.rate is None and not batch.faults)
            poisoned = await self._poisoned(batch, found)
            await self._clock.sleep_until(batch.created_at + line.validating, unless=stop)
            batch = self._fresh(batch_id)
            if batch.status == "validating" and not self._admit(batch, found, poisoned):
                making.discard()
            elif batch.status == "cancelling" and batch.in_progress_at is None:
                making.discard()
                self._cancel_unstarted(batch)
            else:
                await self._run(batch_id, found, making, stop)
        except asyncio.CancelledError:
            raise
        except Exception:
            _log.exception("batch %s came to an unforeseen end", batch_id)
            batch = self._fresh(batch_id)
            self._fail(batch, [error("server_error", "The server had an error while processing the batch.")])

    def _fresh(self, batch_id: str) -> Batch:
        batch = self._state.batch(batch_id)
        assert batch is not None
        return batch

    def _timeline(self, batch: Batch) -> Timeline:
        return timeline(self._settings.timing, self._settings.speed, self._settings.seed, batch.number)

    def _making(self, batch: Batch) -> Making:
        return Making(
            batch, self._settings, self._state, self._pool, self._upstream, self.struck.plan, self.attempts
        )

    async def _poisoned(self, batch: Batch, found: Inspection) -> int | None:
        poison = batch.faults.get("poison")
        if poison is None or poison.marker is None or found.errors:
            return None
        path = self._state.path(batch.input_file_id)
        return await asyncio.to_thread(poisoned_line, path, poison.marker)

    def _admit(self, batch: Batch, found: Inspection, poisoned: int | None) -> bool:
        """Let a validated batch into its queue, or fail it; no await between looking and taking a place."""
        batch.model = model_named(found.model).snapshot if found.model else None
        batch.queue = queue_of(found.model) if found.model else None
        errors = found.errors or self._failing(batch, poisoned) or self._crowded(batch, found)
        if errors:
            self._fail(batch, errors)
            return False
        batch.status = "in_progress"
        batch.began = self._clock.now()
        batch.in_progress_at = int(batch.began)
        batch.total = found.lines
        batch.enqueued_tokens, batch.enqueued_requests = found.tokens, found.lines
        self._state.move(batch, batch.began)
        return True

    def _failing(self, batch: Batch, poisoned: int | None) -> list[dict[str, Any]]:
        fault = batch.faults.get("batch_fails")
        if fault is not None:
            message = fault.message or _MESSAGES.get(fault.code or "", "The batch failed.")
            return [error(fault.code or "server_error", message, fault.line)]
        if poisoned is not None:
            fault = batch.faults["poison"]
            self._state.ledger.strike({"poison": 1})
            message = fault.message or "The batch holds a request that cannot be processed."
            return [error(fault.code or "invalid_request", message, poisoned if fault.named else None)]
        return []

    def _crowded(self, batch: Batch, found: Inspection) -> list[dict[str, Any]]:
        """The error of a full queue; another program that shares the account may be what fills it."""
        queue = batch.queue or ""
        ours = self._state.enqueued().get(queue, (0, 0))
        refused = over_quota(
            self._settings, found.model, Endpoint(batch.endpoint), tokens=found.tokens, requests=found.lines,
            enqueued=ours,
        )  # fmt: skip
        tenant = batch.faults.get("other_tenant")
        if refused is None and tenant is not None:
            held = None if tenant.tokens is None else (ours[0] + tenant.tokens, ours[1])
            refused = queue_full(self._settings, found.model) if held is None else over_quota(
                self._settings, found.model, Endpoint(batch.endpoint), tokens=found.tokens,
                requests=found.lines, enqueued=held,
            )  # fmt: skip
            self._state.ledger.strike({"other_tenant": int(refused is not None)})
        return [] if refused is None else [refused]

    def _cancel_unstarted(self, batch: Batch) -> None:
        batch.status = "cancelled"
        batch.cancelled_at = int(self._clock.now())
        self._state.save_batch(batch)

    def _fail(self, batch: Batch, errors: list[dict[str, object]]) -> None:
        batch.status = "failed"
        batch.failed_at = int(self._clock.now())
        batch.errors = errors
        batch.enqueued_tokens = batch.enqueued_requests = 0
        self._state.move(batch, self._clock.now())

    async def _run(self, batch_id: str, found: Inspection, making: Making, stop: asyncio.Event) -> None:
        batch = self._fresh(batch_id)
        started = batch.began or batch.created_at
        line = self._timeline(batch)
        reach = batch.reach(found.lines)
        vanishing = batch.faults.get("batch_vanishes")
        lost = vanishing is not None and not vanishing.accepted
        stuck = "stuck" in batch.faults or lost
        over = asyncio.Event()
        end = min(batch.expires_at, batch.vanishes_at or batch.expires_at) if lost else batch.expires_at
        watch = asyncio.create_task(self._watch(end, stop, over))
        try:
            if reach:
                await making.make(reach, over)
                await self._clock.sleep_until(started + line.processing(reach), unless=over)
            if stuck:
                await over.wait()
        finally:
            watch.cancel()
        batch = self._fresh(batch_id)
        if stop.is_set():
            await self._end(batch, making, "cancelled", _CANCELLED)
        elif lost:
            making.discard()
            self._fail(batch, [error("server_error", "The batch was lost.")])
        elif "cancelled_unasked" in batch.faults:
            batch.cancelling_at = int(self._clock.now())
            self._state.save_batch(batch)
            await self._end(batch, making, "cancelled", _CANCELLED)
        elif stuck or "expire" in batch.faults or self._clock.now() >= batch.expires_at:
            await self._end(batch, making, "expired", _EXPIRED)
        else:
            batch.status = "finalizing"
            batch.finalizing_at = int(self._clock.now())
            batch.completed, batch.failed = making.counts(found.lines)
            self._state.save_batch(batch)
            await self._clock.sleep_until(self._clock.now() + line.finalizing, unless=stop)
            if stop.is_set():
                await self._end(self._fresh(batch_id), making, "cancelled", _CANCELLED)
            else:
                await self._end(self._fresh(batch_id), making, "completed", _EXPIRED)

    async def _watch(self, expires_at: float, stop: asyncio.Event, over: asyncio.Event) -> None:
        await self._clock.sleep_until(expires_at, unless=stop)
        over.set()

    def _shown_lines(self, batch: Batch, making: Making) -> int:
        until = batch.stopped if batch.stopped is not None else self._clock.now()
        seconds = min(until, batch.expires_at) - (batch.began or batch.created_at)
        return min(making.reached, self._timeline(batch).done(seconds, batch.total))

    async def _end(self, batch: Batch, making: Making, status: str, ending: tuple[str, str]) -> None:
        done = batch.total if status == "completed" else self._shown_lines(batch, making)
        written = await making.finish(done, ending, int(self._clock.now()), whole=status == "completed")
        at = self._clock.now()
        now = int(at)
        batch = self._fresh(batch.id)
        batch.status = status
        setattr(batch, f"{status}_at", now)
        batch.completed, batch.failed = written.completed, written.failed
        batch.input_tokens, batch.output_tokens = written.input_tokens, written.output_tokens
        batch.output_file_id, batch.error_file_id = written.output_file_id, written.error_file_id
        late = batch.faults.get("ids_late")
        batch.hidden_polls = (late.times or 2) if late is not None else 0
        batch.enqueued_tokens = batch.enqueued_requests = 0
        hiding = batch.faults.get("files_late")
        if hiding is not None:
            batch.hidden_reads = hiding.times or (2 if hiding.seconds is None else 0)
            batch.files_hidden_until = at + (hiding.seconds or 0.0)
        self._state.end_batch(
            batch, written.files, billed_ids=written.billed_ids, failed_ids=written.failed_ids,
            lost=written.lost, struck=written.struck, at=at,
        )  # fmt: skip
        self.attempts.add([*written.billed_ids, *written.failed_ids])
        making.discard()
