"""result -> output or rejection: judge every line of a batch's result files.

A function of the files, the members and the task: run again after a crash, or after the user mended
the task, it needs no provider and costs nothing. What it finds is judged per line, never from the
batch's status or counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import msgspec

from nightmail.core.batch import Batch, Phase
from nightmail.core.ids import RunId, seq_of
from nightmail.core.pricing import Price, billed_mode, cost_pusd
from nightmail.core.request import Mode
from nightmail.core.result import Outcome, Rejection, Response, Result
from nightmail.core.usage import NO_USAGE, Usage
from nightmail.providers.base import Provider
from nightmail.spool import Spool
from nightmail.stages.build import described
from nightmail.stages.parts import PartWriter
from nightmail.stages.records import Records
from nightmail.stores.base import Address, Member, Success
from nightmail.tasks.prepared import PreparedTask

MAX_MESSAGE = 2_000
PICO = 1_000_000_000_000


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A request of the batch that has no accepted output, and why."""

    member: Member
    outcome: Outcome
    message: str
    rejection: Rejection | None = None
    status: int | None = None
    code: str | None = None
    answer: Address | None = None
    text: str | None = None  # what the model said, for a repair
    complaint: str | None = None  # what the model is told about it; may quote the answer
    usage: Usage = NO_USAGE
    cost_pusd: int | None = 0


class Verdicts(msgspec.Struct, kw_only=True):
    """What the files of one batch hold. `successes` and `problems` together name each member once."""

    successes: list[Success] = []
    problems: list[Problem] = []
    usage: Usage = NO_USAGE
    cost_pusd: int | None = 0
    sync_cost_pusd: int | None = 0
    wasted_pusd: int | None = 0
    counted_tokens: int = 0
    answers: int = 0
    unknown: list[str] = []  # names that this batch never sent
    duplicates: int = 0
    unreadable: int = 0
    callback_errors: list[str] = []


class ResultFile(msgspec.Struct, frozen=True, kw_only=True):
    """A result file in the spool."""

    file_no: int
    name: str


class Judge:
    """Judges one batch; used once, in one thread."""

    def __init__(
        self,
        *,
        task: PreparedTask,
        provider: Provider,
        spool: Spool,
        run_id: RunId,
        batch: Batch,
        members: Sequence[Member],
        price: Price | None,
        records: Records | None,
        part: PartWriter,
    ) -> None:
        self._task = task
        self._provider = provider
        self._spool = spool
        self._run_id = run_id
        self._batch = batch
        self._members = {member.seq: member for member in members}
        self._price = price
        self._records = records
        self._part = part
        self._succeeded: set[int] = set()
        self._problems: dict[int, Problem] = {}
        self._totals = [0, 0, 0, 0]
        self._verdicts = Verdicts(successes=[], problems=[], unknown=[], callback_errors=[])

    def judge(self, files: Sequence[ResultFile]) -> Verdicts:
        """Read every line of `files`, then find out what is in none of them."""
        found = self._verdicts
        for file in files:
            for offset, line in self._spool.lines(file.name):
                self._line(line, Address(file.file_no, offset, len(line)))
        absent = _absent_outcome(self._batch.phase)
        for seq, member in self._members.items():
            if seq in self._succeeded:
                continue
            found.problems.append(
                self._problems.get(seq)
                or Problem(member=member, outcome=absent, message=_absent_message(absent, self._batch))
            )
        found.usage = Usage(*self._totals)
        return found

    def _line(self, line: bytes, address: Address) -> None:
        try:
            result = self._provider.read_result(line, self._batch.endpoint)
        except ValueError:
            self._verdicts.unreadable += 1
            return
        if result.custom_id is None:
            # Its request is found by subtraction: it will be in no other line.
            return
        seq = seq_of(result.custom_id, self._run_id)
        member = self._members.get(seq) if seq is not None else None
        if member is None:
            self._verdicts.unknown.append(result.custom_id[:100])
            return
        response = result.response
        before = self._problems.get(member.seq)
        # The first answer counts, and any answer before none.
        if member.seq in self._succeeded or (before and (response is None or before.rejection is not None)):
            self._verdicts.duplicates += 1
            return
        if response is None:
            self._problems[member.seq] = Problem(
                member=member,
                outcome=result.outcome,
                message=_provider_message(result),
                status=result.status,
                code=result.code,
                answer=address,
            )
            return
        if self._problems.pop(member.seq, None):
            self._verdicts.duplicates += 1
        self._response(member, response, address)

    def _response(self, member: Member, response: Response, address: Address) -> None:
        usage = response.usage
        cost = self._book(usage, member.tokens, response.tier)
        judged = self._task.judge(response)
        rejection, message, complaint = judged.rejection, judged.message, judged.complaint
        output = judged.output
        if rejection is None and self._records is not None:
            message = complaint = self._task.check(output, self._records.read(member.seq))
            rejection = Rejection.CHECK if message is not None else None
        if rejection is not None:
            if self._verdicts.wasted_pusd is not None:
                self._verdicts.wasted_pusd = None if cost is None else self._verdicts.wasted_pusd + cost
            self._problems[member.seq] = Problem(
                member=member,
                outcome=Outcome.SUCCEEDED,
                rejection=rejection,
                message=(message or rejection.value)[:MAX_MESSAGE],
                answer=address,
                text=response.text or response.refusal,
                complaint=complaint,
                usage=usage,
                cost_pusd=cost,
            )
            return
        self._accept(member, response, output, cost, address)

    def _accept(
        self, member: Member, response: Response, output: Any, cost: int | None, address: Address
    ) -> None:
        usage = response.usage
        spent = None if cost is None or member.spent_pusd is None else cost + member.spent_pusd
        meta = (
            response.model or self._batch.model,
            member.attempts + 1,
            member.spent_input + usage.input_tokens,
            member.spent_output + usage.output_tokens,
            None if spent is None else spent / PICO,
        )
        self._part.add(member.seq, member.key, self._task.columns(output), meta)
        self._succeeded.add(member.seq)
        self._verdicts.successes.append(
            Success(member.seq, *address, usage.input_tokens, usage.output_tokens, cost)
        )
        if self._task.calls_on_output and self._records is not None:
            try:
                self._task.task.on_output(self._records.read(member.seq), output)
            except Exception as error:  # the user's code; the output is good all the same
                self._verdicts.callback_errors.append(f"record {member.key!r}: {described(error)}"[:500])

    def _book(self, usage: Usage, counted: int, tier: str | None) -> int | None:
        """Add one billed answer to the sums; its cost."""
        found = self._verdicts
        found.answers += 1
        totals = self._totals
        totals[0] += usage.input_tokens
        totals[1] += usage.output_tokens
        totals[2] += usage.cached_tokens
        totals[3] += usage.reasoning_tokens
        if usage.input_tokens:
            found.counted_tokens += counted
        if self._price is None:
            found.cost_pusd = found.sync_cost_pusd = found.wasted_pusd = None
            return None
        cost = cost_pusd(usage, self._price, mode=billed_mode(self._batch.mode, tier))
        assert found.cost_pusd is not None
        assert found.sync_cost_pusd is not None
        found.cost_pusd += cost
        found.sync_cost_pusd += cost_pusd(usage, self._price, mode=Mode.SYNC)
        return cost


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


def results_name(run_id: str, batch: Batch, kind: str) -> str:
    """Where a batch's `output` or `errors` file is kept."""
    return str(PurePath(run_id, "results", f"{batch.batch_no}.{kind}.jsonl"))
