"""following -> outcomes: give copies what the answer to their first's request means for them.

A copy is a record whose request is the same as an earlier one's, its first's, which alone was sent. Once that
one has its final state, its stored answer is judged with the copy's own record, and paid by nobody. What the
answer is no good for is sent by itself (decision 0007).

Copies are looked through in the order of the source, a page at a time. A page's outputs are written to a part
under a name that nobody had before; the transaction that moves its copies names the part. A crash before it
leaves a file that counts for nothing, and the page is done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from nightmail.core.copies import CopyThen, after_first
from nightmail.core.failure import Reason
from nightmail.core.request import RequestState
from nightmail.core.run import KeyKind, Run
from nightmail.stages.amend import is_amended
from nightmail.stages.parts import ROWS_AT_ONCE, PartWriter, copies_part_name, part_schema, writing
from nightmail.stages.ports import Ports
from nightmail.stages.raised import described
from nightmail.stages.records import Records
from nightmail.stages.validate import MAX_MESSAGE
from nightmail.stores.base import Address, DueCopy, Shared, Told
from nightmail.telemetry import EventName

PAGE = 50_000
# Answers of so many bytes are held at once, however few they are: one of embeddings is large.
BYTES_AT_ONCE = 16_000_000
MAX_TOLD = 20


class _Answer(NamedTuple):
    """A first's stored answer, judged without a record."""

    model: str
    output: Any
    is_good: bool


async def share(ports: Ports, run: Run, stop: asyncio.Event) -> int:
    """Give every copy whose first has its final state its own; how many. Fewer if `stop` is set."""
    if not (await ports.store.requests.count(run.run_no)).states.get(RequestState.FOLLOWING):
        return 0
    shards = await ports.store.requests.list_shards(run.run_no) if ports.task.needs_record else []
    records = Records(ports.spool, ports.source, shards) if shards else None
    count = after = 0
    while not stop.is_set() and (due := await ports.store.copies.due(run.run_no, after=after, limit=PAGE)):
        page = _Page(ports, run, await ports.store.requests.file_paths(run.run_no), records)
        messages = await _messages(ports, run, due)
        shared = await asyncio.to_thread(page.decide, due, messages)
        await ports.store.copies.record_shared(ports.lease, shared, now=ports.now())
        if page.callback_errors:
            await ports.tell(EventName.RESULTS_ODD, callback_errors=page.callback_errors[:MAX_TOLD])
        count, after = count + len(due), due[-1].seq
    return count


async def _messages(ports: Ports, run: Run, due: Sequence[DueCopy]) -> dict[int, str]:
    """What each first that has failed has failed of."""
    found: dict[int, str] = {}
    for copy in due:
        if copy.first_state is RequestState.FAILED and copy.first_seq not in found:
            tried = await ports.store.requests.list_attempts(run.run_no, copy.first_seq)
            found[copy.first_seq] = tried[-1].message if tried else ""
    return found


class _Page:
    """Decides for the copies of one page; used once, in one thread."""

    def __init__(self, ports: Ports, run: Run, paths: dict[int, str], records: Records | None) -> None:
        self._ports = ports
        self._run = run
        self._paths = paths
        self._records = records
        self._answered: list[DueCopy] = []
        self._released: list[DueCopy] = []
        self._told: list[Told] = []
        self.callback_errors: list[str] = []

    def decide(self, due: Sequence[DueCopy], messages: dict[int, str]) -> Shared:
        """What becomes of each; the outputs of those that are answered are in the part then."""
        judged: list[DueCopy] = []
        failed: list[Told] = []
        given_up: list[DueCopy] = []
        for copy in due:
            match self._then(copy):
                case CopyThen.JUDGE:
                    judged.append(copy)
                case CopyThen.FAIL:
                    failed.append(_failed(copy, messages[copy.first_seq]))
                case CopyThen.RELEASE:
                    self._released.append(copy)
                case CopyThen.GIVE_UP:
                    given_up.append(copy)
        part = self._judge(judged) if judged else None
        return Shared(
            part=part,
            answered=self._answered,
            failed=failed,
            released=self._released,
            told=self._told,
            given_up=given_up,
        )

    def _then(self, copy: DueCopy) -> CopyThen:
        return after_first(
            copy.first_state,
            copy.reason,
            amended=is_amended(self._paths[copy.file_no]),
            sees_record=self._ports.task.sees_record,
        )

    def _judge(self, copies: Sequence[DueCopy]) -> tuple[str, int] | None:
        """Judge them and write the outputs of those that are answered; the part's name and size."""
        ports, run = self._ports, self._run
        name = copies_part_name(run.run_id, ports.clock.token())
        schema = part_schema(run.key_name or "row", run.key_kind or KeyKind.ROW, ports.task.arrow_schema())
        with writing(ports.spool, name, schema) as part, ports.spool.reading() as read:
            for some in _portions(copies):
                # In the order of the files, most answers are in what was read for the one before.
                firsts = sorted({each.first_seq: each for each in some}.values(), key=_place)
                answers = {each.first_seq: self._read(each, read) for each in firsts}
                good = [copy for copy in some if self._is_good(copy, answers[copy.first_seq])]
                self._write(part, good, answers)
                self._answered += good
        if self._answered:
            return name, ports.spool.size(name)
        ports.spool.delete(name)
        return None

    def _is_good(self, copy: DueCopy, answer: _Answer) -> bool:
        """Is the answer any good for the copy's own record? One that it is not is released."""
        task, records = self._ports.task, self._records
        complaint: str | None = "it is not accepted any more"
        if answer.is_good:
            complaint = None
            if task.checks and records is not None:
                complaint = task.check(answer.output, records.read(copy.seq))
        if complaint is not None:
            self._released.append(copy)
            self._told.append(_unusable(copy, complaint))
            return False
        if task.calls_on_output and records is not None:
            try:
                task.task.on_output(records.read(copy.seq), answer.output)
            except Exception as error:  # the user's code; the output is good all the same
                self.callback_errors.append(f"record {copy.key!r}: {described(error)}"[:500])
        return True

    def _read(self, copy: DueCopy, read: Callable[[str, int, int], bytes]) -> _Answer:
        """The answer that the copy's first has succeeded with."""
        ports = self._ports
        file_no, offset, length = _place(copy)
        line = read(self._paths[file_no], offset, length)
        response = ports.provider.read_result(line, ports.task.endpoint).response
        assert response is not None, "an answer was stored as accepted"
        judged = ports.task.judge(response)
        return _Answer(response.model or "", judged.output, judged.rejection is None)

    def _write(self, part: PartWriter, good: Sequence[DueCopy], answers: dict[int, _Answer]) -> None:
        """Nothing was sent for a copy: its columns say so, and add up to the bill with all others."""
        if not good:
            return
        usable = {first: answer for first, answer in answers.items() if answer.is_good}
        made = self._ports.task.rows([answer.output for answer in usable.values()])
        rows = dict(zip(usable, made, strict=True))
        none = [0] * len(good)
        part.add(
            [copy.seq for copy in good],
            [copy.key for copy in good],
            [rows[copy.first_seq] for copy in good],
            ([answers[copy.first_seq].model for copy in good], none, none, none, [0.0] * len(good)),
        )


def _portions(copies: Sequence[DueCopy]) -> Iterator[list[DueCopy]]:
    """Some thousands at a time, and not too many bytes of answers."""
    some: list[DueCopy] = []
    firsts: set[int] = set()
    size = 0
    for copy in copies:
        if len(some) >= ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield some
            some, firsts, size = [], set(), 0
        some.append(copy)
        if copy.first_seq not in firsts and copy.answer is not None:
            firsts.add(copy.first_seq)
            size += copy.answer.length
    if some:
        yield some


def _place(copy: DueCopy) -> Address:
    assert copy.answer is not None, "a request succeeds with an answer"
    return copy.answer


def _failed(copy: DueCopy, message: str) -> Told:
    assert copy.reason is not None, "what has failed has a reason"
    said = f"its request is the same as that of record {copy.first_key!r}, which failed: {message}"
    return Told(copy, copy.reason, said[:MAX_MESSAGE])


def _unusable(copy: DueCopy, complaint: str) -> Told:
    said = f"the answer to the same request of record {copy.first_key!r} is no good for this one: {complaint}"
    return Told(copy, Reason.CHECK, said[:MAX_MESSAGE])
