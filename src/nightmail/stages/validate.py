"""result -> output or rejection: judge every line of a batch's result files, and of its extras'.

A function of the files, the members and the task: run again after a crash, or after the user mended
the task, it needs no provider and costs nothing. What it finds is judged per line, never from the
batch's status or counts.

An extra's answers come last: they count for requests that the batch itself has no answer for, and are
wasted otherwise. Its errors say nothing, since it was asked to end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from nightmail.core.batch import Batch, Phase
from nightmail.core.ids import RunId, seq_of, seqs_of
from nightmail.core.pricing import Price
from nightmail.core.result import Outcome, Rejection, Response, Result
from nightmail.providers.base import Provider
from nightmail.spool import Spool
from nightmail.stages.accepted import Accepted, Held
from nightmail.stages.bill import Bill
from nightmail.stages.good_lines import GoodLines, good_lines
from nightmail.stages.parts import PartWriter
from nightmail.stages.raised import described
from nightmail.stages.records import Records
from nightmail.stages.verdicts import Problem, ResultFile, Verdicts
from nightmail.stores.base import Address, Asked
from nightmail.tasks.prepared import PreparedTask

MAX_MESSAGE = 2_000


class Judge:
    """Judges one batch, and its `extras` with it; used once, in one thread."""

    def __init__(
        self,
        *,
        task: PreparedTask,
        provider: Provider,
        spool: Spool,
        run_id: RunId,
        batch: Batch,
        extras: Sequence[Batch],
        asked: Asked,
        price: Price | None,
        records: Records | None,
        part: PartWriter,
    ) -> None:
        self._task = task
        self._provider = provider
        self._spool = spool
        self._run_id = run_id
        self._batch = batch
        self._asked = asked
        # The places of the requests that have no accepted answer yet, by number.
        self._open = dict(zip(asked.seqs, range(len(asked.seqs)), strict=True))
        self._records = records
        self._checks = task.checks
        self._calls_on_output = task.calls_on_output
        self._accepted = Accepted(part, task.rows, asked=asked, model=batch.model)
        self._problems: dict[int, Problem] = {}
        bills = {each.batch_no: Bill(each, price) for each in (batch, *extras)}
        self._bill = bills[batch.batch_no]
        # Requests of which an answer is on the bill of a batch that holds others' requests too.
        self._billed: dict[int, set[int]] = {number: set() for number in bills}
        self._bills = bills
        self._extras = extras
        self._verdicts = Verdicts()

    def judge(self, files: Sequence[ResultFile]) -> Verdicts:
        """Read every line of `files`, those of extras last, then find out what is in none of them."""
        found = self._verdicts
        for file in files:
            self._bill = self._bills[file.batch_no]
            for offsets, lines in self._spool.blocks(file.name):
                if file.batch_no == self._batch.batch_no:
                    self._lines(lines, file.file_no, offsets)
                    continue
                for offset, line in zip(offsets, lines, strict=True):
                    self._extra_line(line, file.file_no, offset)
            self._accepted.write(self._bill, file.file_no)
        absent = _absent_outcome(self._batch.phase)
        for seq in self._open:
            found.problems.append(
                self._problems.get(seq)
                or Problem(seq=seq, outcome=absent, message=_absent_message(absent, self._batch))
            )
        found.successes = self._accepted.index()
        silent = sum(problem.answer is None for problem in found.problems)
        own = self._bills[self._batch.batch_no]
        found.sums[self._batch.batch_no] = own.sums(succeeded=len(found.successes), silent=silent)
        for extra in self._extras:
            bill = self._bills[extra.batch_no]
            found.sums[extra.batch_no] = bill.sums(succeeded=0, silent=extra.requests - bill.answers)
        return found

    def _read(self, line: bytes) -> tuple[int, Result] | None:
        """Which request of this run a line is about, and what it says; None if it is about none."""
        try:
            result = self._provider.read_result(line, self._batch.endpoint)
        except ValueError:
            self._verdicts.unreadable += 1
            return None
        if result.custom_id is None:
            # Its request is found by subtraction: it will be in no other line.
            return None
        seq = seq_of(result.custom_id, self._run_id)
        if seq is None:
            self._verdicts.unknown.append(result.custom_id[:100])
            return None
        return seq, result

    def _extra_line(self, line: bytes, file_no: int, offset: int) -> None:
        read = self._read(line)
        if read is None or (response := read[1].response) is None:
            return
        seq = read[0]
        if self._is_billed(seq):
            return
        place, before = self._open.get(seq), self._problems.get(seq)
        if place is None or (before and before.rejection is not None):
            self._bill.waste(self._bill.add(response.usage))
            return
        self._problems.pop(seq, None)
        self._response(place, response, file_no, offset, len(line))

    def _is_billed(self, seq: int) -> bool:
        """Has an answer to this request been billed in the batch that is being read? From now on it has."""
        billed = self._billed[self._bill.batch.batch_no]
        if seq in billed:
            self._verdicts.duplicates += 1
            return True
        billed.add(seq)
        return False

    def _lines(self, lines: list[bytes], file_no: int, offsets: list[int]) -> None:
        """Lines of the batch's own: good answers that follow each other at once, the others one by one."""
        done = 0
        endpoint = self._batch.endpoint
        for good in good_lines(lines, provider=self._provider, endpoint=endpoint, task=self._task):
            for at in range(done, good.start):
                self._line(lines[at], file_no, offsets[at])
            accepted = self._take(good, lines, file_no, offsets)
            done = good.stop if accepted else good.start
        for at in range(done, len(lines)):
            self._line(lines[at], file_no, offsets[at])

    def _take(self, good: GoodLines, lines: list[bytes], file_no: int, offsets: list[int]) -> bool:
        """Accept them; False if one of its answers is not the first to a request of this batch."""
        seqs = seqs_of(good.custom_ids, self._run_id)
        if seqs is None:
            return False
        wanted = set(seqs)
        if len(wanted) < len(seqs) or not wanted <= self._open.keys():
            return False
        if self._problems and not wanted.isdisjoint(self._problems):
            return False
        of = slice(good.start, good.stop)
        held = Held(
            places=list(map(self._open.pop, seqs)),
            models=good.models,
            usages=good.usages,
            tiers=good.tiers,
            outputs=good.outputs,
            offsets=offsets[of],
            lengths=list(map(len, lines[of])),
        )
        if self._accepted.add_all(held):
            self._accepted.write(self._bill, file_no)
        return True

    def _line(self, line: bytes, file_no: int, offset: int) -> None:
        read = self._read(line)
        if read is None:
            return
        seq, result = read
        place = self._open.get(seq)
        response = result.response
        if place is None:
            self._not_open(seq, result)
            return
        if self._problems and (before := self._problems.get(seq)) is not None:
            # The first answer counts, and any answer before none.
            self._verdicts.duplicates += 1
            if response is None or before.rejection is not None:
                return
            del self._problems[seq]
        if response is None:
            self._problems[seq] = Problem(
                seq=seq,
                outcome=result.outcome,
                message=_provider_message(result),
                status=result.status,
                code=result.code,
                answer=Address(file_no, offset, len(line)),
            )
            return
        self._response(place, response, file_no, offset, len(line))

    def _not_open(self, seq: int, result: Result) -> None:
        """A line about a request that has its accepted answer, or is not of this batch."""
        seqs = self._asked.seqs
        at = bisect_left(seqs, seq)
        if at < len(seqs) and seqs[at] == seq:
            self._verdicts.duplicates += 1
        elif self._batch.extra_of is None:
            self._verdicts.unknown.append(str(result.custom_id)[:100])
        elif result.response is not None and not self._is_billed(seq):
            # Answered elsewhere when this batch came to light.
            self._bill.waste(self._bill.add(result.response.usage))

    def _response(self, place: int, response: Response, file_no: int, offset: int, length: int) -> None:
        judged = self._task.judge(response)
        rejection, output = judged.rejection, judged.output
        message, complaint = judged.message, judged.complaint
        seq = self._asked.seqs[place]
        if rejection is None and self._checks and self._records is not None:
            message = complaint = self._task.check(output, self._records.read(seq))
            rejection = Rejection.CHECK if message is not None else None
        if rejection is not None:
            usage = response.usage
            cost = self._bill.add(usage, self._asked.tokens[place], tier=response.tier)
            self._bill.waste(cost)
            self._problems[seq] = Problem(
                seq=seq,
                outcome=Outcome.SUCCEEDED,
                rejection=rejection,
                finish=response.finish,
                message=(message or rejection.value)[:MAX_MESSAGE],
                answer=Address(file_no, offset, length),
                text=response.text or response.refusal,
                complaint=complaint,
                usage=usage,
                cost_pusd=cost,
            )
            return
        del self._open[seq]
        if self._calls_on_output and self._records is not None:
            try:
                self._task.task.on_output(self._records.read(seq), output)
            except Exception as error:  # the user's code; the output is good all the same
                key = self._asked.keys[place]
                self._verdicts.callback_errors.append(f"record {key!r}: {described(error)}"[:500])
        if self._accepted.add(place, response, output, offset, length):
            self._accepted.write(self._bill, file_no)


def _absent_outcome(phase: Phase | None) -> Outcome:
    """What to call a request that is in no file of a batch that ended this way."""
    if phase is Phase.EXPIRED:
        return Outcome.EXPIRED
    if phase is Phase.CANCELLED:
        return Outcome.CANCELLED
    return Outcome.MISSING


def _absent_message(outcome: Outcome, batch: Batch) -> str:
    if outcome is Outcome.MISSING:
        return f"batch {batch.batch_id} ended ({batch.status}) and no result file has this request"
    return f"batch {batch.batch_id} ended ({batch.status}) before this request's turn"


def _provider_message(result: Result) -> str:
    parts = [str(result.status) if result.status is not None else "", result.code or "", result.message or ""]
    return " ".join(part for part in parts if part)[:MAX_MESSAGE] or result.outcome.value
