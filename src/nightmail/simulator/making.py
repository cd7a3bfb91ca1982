"""The answers of one execution of a batch: made piece by piece, then joined into its two files."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from typing import Any

import msgspec
import orjson

from nightmail.core.request import Endpoint
from nightmail.simulator.answers import Given
from nightmail.simulator.books import Attempts
from nightmail.simulator.execution import Answered, Job, execute
from nightmail.simulator.faults import Plan, RequestFaults
from nightmail.simulator.inspection import Inspection, look_through
from nightmail.simulator.joining import halve_last_line, joined
from nightmail.simulator.ledger import Lost
from nightmail.simulator.pool import Pool
from nightmail.simulator.records import Batch, File
from nightmail.simulator.settings import Settings
from nightmail.simulator.state import State
from nightmail.simulator.upstream import Upstream
from nightmail.simulator.validation import Piece


class Written(msgspec.Struct, kw_only=True):
    """What a batch came to. A file that would have no lines is not there and has no id."""

    completed: int
    failed: int
    input_tokens: int
    output_tokens: int
    output_file_id: str | None
    error_file_id: str | None
    files: list[File]
    billed_ids: list[str]
    failed_ids: list[str]
    lost: Lost
    struck: Counter[str]


class Making:
    """One execution, in a folder of its own. `inspect` comes first, then `make`, then `finish`."""

    def __init__(
        self,
        batch: Batch,
        settings: Settings,
        state: State,
        pool: Pool,
        upstream: Upstream | None,
        plan: Plan,
        attempts: Attempts,
    ) -> None:
        self._batch = batch
        self._settings = settings
        self._state = state
        self._pool = pool
        self._upstream = upstream
        self._plan = plan
        self._attempts = attempts
        self._made: dict[int, tuple[int, Answered]] = {}  # piece -> lines asked for, what came
        self._ticks = 0
        self._firsts = [0]
        self._found: Inspection
        # A new folder for every execution: what a killed one left half-written is never read.
        self._folder = state.work / f"{batch.id}.{batch.executions}"
        self.discard()
        self._folder.mkdir(parents=True)

    def discard(self) -> None:
        """Take away what this and earlier executions left in the work folder."""
        for old in self._state.work.glob(f"{self._batch.id}.*"):
            shutil.rmtree(old, ignore_errors=True)

    async def inspect(self, *, at_once: bool) -> Inspection:
        """What the input file holds; `at_once` answers in the same reading if nothing speaks against it."""
        batch = self._batch
        fused = at_once and self._upstream is None and not self._asks_attempts("")
        found = await look_through(
            self._state.path(batch.input_file_id),
            Endpoint(batch.endpoint),
            self._settings,
            self._pool,
            self._plain_job if fused else None,
        )
        self._found = found
        for number, (_, one) in enumerate(found.pieces):
            self._firsts.append(self._firsts[-1] + one.line_count)
            if found.answered is not None:
                self._made[number] = (one.line_count, found.answered[number])
        return found

    @property
    def reached(self) -> int:
        """Lines that have been answered so far."""
        return max(self._ticks, sum(done for done, _ in self._made.values()))

    def counts(self, lines: int) -> tuple[int, int]:
        """Completed and failed among `lines` answered ones; by proportion until all are made."""
        made = sum(done for done, _ in self._made.values())
        failed = sum(answered.failed for _, answered in self._made.values())
        shown = failed * lines // made if made else 0
        return lines - shown, shown

    async def make(self, reach: int, over: asyncio.Event) -> None:
        """Answer the first `reach` lines, or as many as there is time for until `over`."""
        waiting = {
            asyncio.create_task(self._make_piece(number, need, over))
            for number in range(len(self._found.pieces))
            if (need := self._need(number, reach)) > 0 and number not in self._made
        }
        stopping = asyncio.create_task(over.wait())
        try:
            open_ones = set(waiting)
            while open_ones and not over.is_set():
                both: set[asyncio.Task[Any]] = {*open_ones, stopping}
                done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                open_ones -= done
                for task in done:
                    task.result()
            if self._upstream is not None:
                # Requests that are at the real server are waited for: they are being paid there.
                await asyncio.gather(*open_ones)
        finally:
            for task in (*waiting, stopping):
                task.cancel()
            await asyncio.gather(*waiting, stopping, return_exceptions=True)

    def _need(self, number: int, reach: int) -> int:
        lines = self._found.pieces[number][1].line_count
        return max(0, min(lines, reach - self._firsts[number]))

    async def _make_piece(self, number: int, done: int, over: asyncio.Event) -> None:
        job = self._job(number, done, ("", ""))
        if self._upstream is not None:
            answered = await self._upstream.execute(job, over, self._tick)
        else:
            answered = await self._pool.run(execute, job, large=self._found.large)
        self._made[number] = (done, answered)

    def _tick(self) -> None:
        self._ticks += 1

    def _asks_attempts(self, model: str) -> bool:
        """Whether an answer depends on earlier executions; before the model is known, whether it could."""
        by_attempt = Given(self._plan.answers).by_attempt
        if not model:
            return by_attempt or bool(self._plan.faults)
        endpoint, number = self._batch.endpoint, self._batch.number
        return by_attempt or bool(
            RequestFaults(self._plan, self._settings.seed, model=model, endpoint=endpoint, batch=number)
        )

    def _plain_job(self, piece: Piece, number: int) -> Job:
        batch = self._batch
        return Job(
            piece=piece,
            number=number,
            name=batch.id.replace("-", "").removeprefix("batch_")[:16],
            batch=batch.number,
            created=batch.in_progress_at or batch.created_at,
            seed=self._settings.seed,
            plan=self._plan,
            dialect=self._settings.dialect,
            output=self._folder / f"{number}.out",
            errors=self._folder / f"{number}.err",
        )

    def _job(self, number: int, done: int, ending: tuple[str, str]) -> Job:
        piece, inspected = self._found.pieces[number]
        asked = self._asks_attempts(self._found.model)
        return msgspec.structs.replace(
            self._plain_job(piece, number),
            model=self._found.model,
            first=self._firsts[number],
            tokens=inspected.tokens,
            done=done,
            ending=ending,
            attempts=self._attempts.before(inspected.custom_ids) if asked else None,
        )

    async def finish(self, done: int, ending: tuple[str, str], now: int, *, whole: bool) -> Written:
        """Write the files of a batch of which the first `done` lines were answered.

        `whole`: it came to its own end, nothing is thrown away.
        """
        needs = {
            number: 0 if self._upstream is not None else self._need(number, done)
            for number in range(len(self._found.pieces))
            if not self._is_made(number, done)
        }
        answers = await asyncio.gather(
            *(
                self._pool.run(execute, self._job(number, need, ending), large=self._found.large)
                for number, need in needs.items()
            )
        )
        for (number, need), answered in zip(needs.items(), answers, strict=True):
            self._made[number] = (need, answered)
        self._write_unanswered(ending)
        return await self._joined(now, whole)

    def _is_made(self, number: int, done: int) -> bool:
        # A piece that the end of the batch runs through is made again: its further lines are unanswered then.
        if number not in self._made:
            return False
        lines = self._found.pieces[number][1].line_count
        return self._upstream is not None or self._made[number][0] == self._need(number, done) == lines

    def _write_unanswered(self, ending: tuple[str, str]) -> None:
        for number, (_, answered) in self._made.items():
            if not answered.unanswered_ids:
                continue
            with (self._folder / f"{number}.err").open("ab") as file:
                for line_id, custom_id in answered.unanswered_ids:
                    quoted = orjson.dumps(custom_id)
                    file.write(self._settings.dialect.unanswered_line(line_id, quoted, *ending))
            answered.error_lines += len(answered.unanswered_ids)

    async def _joined(self, now: int, whole: bool) -> Written:
        answers = [answered for _, answered in self._made.values()]
        order = list(range(len(self._found.pieces)))
        random.Random(f"{self._settings.seed}/{self._batch.number}").shuffle(order)
        output = errors = None
        kept = whole or "rows_thrown_away" not in self._batch.faults
        if kept and any(one.output_lines for one in answers):
            output = await self._join(order, "out", "output", now)
        if any(one.error_lines for one in answers) or self._settings.dialect.strings:
            errors = await self._join(order, "err", "error", now)
        billed, failed = self._ids()
        return Written(
            completed=sum(one.completed for one in answers),
            failed=sum(one.failed for one in answers),
            input_tokens=sum(one.input_tokens for one in answers),
            output_tokens=sum(one.output_tokens for one in answers),
            output_file_id=output.id if output else None,
            error_file_id=errors.id if errors else None,
            files=[file for file in (output, errors) if file is not None],
            billed_ids=billed,
            failed_ids=failed,
            lost=await self._lost(answers, output),
            struck=sum((Counter(one.struck) for one in answers), Counter()),
        )

    async def _lost(self, answers: list[Answered], output: File | None) -> Lost:
        """What is billed and in no file, or in one nobody gets; cuts the last line if a fault says so."""
        lost, faults = Lost(), self._batch.faults
        # A file's time is in whole seconds.
        if output is None or "file_gone" in faults or self._batch.vanished(output.created_at + 1):
            for one in answers:
                lost.add(one.completed, one.input_tokens, one.output_tokens)
            return lost
        for one in answers:
            lost.add(one.lost.requests, one.lost.input_tokens, one.lost.output_tokens)
        if "half_last_line" in faults:
            cut = await asyncio.to_thread(halve_last_line, self._state.path(output.id))
            output.bytes -= cut.bytes
            if not cut.elsewhere:
                lost.add(1, cut.input_tokens, cut.output_tokens)
        return lost

    def _ids(self) -> tuple[list[str], list[str]]:
        billed: list[str] = []
        failed: list[str] = []
        for number, (_, inspected) in enumerate(self._found.pieces):
            done, answered = self._made[number]
            reached = inspected.custom_ids[:done]
            left_out = {*answered.failed_ids, *(name for _, name in answered.unanswered_ids)}
            billed += [name for name in reached if name not in left_out] if left_out else reached
            failed += answered.failed_ids
        return billed, failed

    async def _join(self, order: list[int], ending: str, kind: str, now: int) -> File:
        file = File(
            id=self._settings.dialect.new_id("file-", 22),
            purpose="batch_output",
            filename=f"{self._batch.id}_{kind}.jsonl",
            bytes=0,
            created_at=now,
            expires_at=now + (self._batch.output_expires_seconds or 30 * 86_400),
            batch=self._batch.id,
        )
        parts = [self._folder / f"{number}.{ending}" for number in order]
        file.bytes = await asyncio.to_thread(joined, parts, self._state.path(file.id))
        return file
