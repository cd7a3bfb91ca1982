"""outcomes -> states: each request of a batch succeeds, goes again, or is final, in one transaction.

A batch is judged and settled together with its extras (`stages/extras.py`).

What goes again with another body (a repair, a larger cap, the fallback model) gets a new line in a new
file, written before that transaction; a crash between the two leaves a file that will be written again.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nightmail.core.batch import Batch, BatchState
from nightmail.core.lifecycle import BatchEvent, RequestEvent
from nightmail.core.pricing import price_of
from nightmail.core.result import Outcome, Rejection
from nightmail.core.retry import (
    Again,
    RetryDecision,
    RetryPolicy,
    after_no_answer,
    after_rejection,
)
from nightmail.core.run import KeyKind, Run, Wish
from nightmail.errors import LeaseLost
from nightmail.stages.amend import Amendment, amended_lines, cap_can_grow
from nightmail.stages.extras import book, tell_booked
from nightmail.stages.let_go import let_go
from nightmail.stages.ports import Ports
from nightmail.stages.refused import settle_refused
from nightmail.stages.shards import JudgeOrder, near
from nightmail.stages.verdicts import RESULT_KINDS, Problem, ResultFile, Verdicts, results_name
from nightmail.stores.base import Member, Setback
from nightmail.telemetry import EventName

TOLD = 20  # names told in one event


async def settle(ports: Ports, run: Run, batch: Batch) -> Batch:
    """Judge an ended batch whose result files are here, and settle every request of it; with it its
    extras, which have all ended too."""
    asked = await ports.store.requests.asked(batch)
    if batch.extra_of is not None and not asked.seqs:
        return await book(ports, batch)
    if batch.extra_of is None and len(asked.seqs) != batch.requests:
        # Judged by what is left of it, its outputs would be written without those that are settled.
        raise LeaseLost(f"batch {batch.batch_id!r} is being settled by another worker; nothing was written")
    ended = await ports.store.batches.list(run.run_no, states=[BatchState.ENDED])
    extras = [each for each in ended if each.extra_of == batch.batch_no]
    files = await _result_files(ports, batch, extras)
    if batch.error_code is not None and batch.extra_of is None and not files:
        return await settle_refused(ports, run, batch, BatchEvent.SETTLED)
    shards = await ports.store.requests.list_shards(run.run_no) if ports.task.needs_record else []
    verdicts = await ports.shards.judge(
        JudgeOrder(
            batch=batch,
            extras=extras,
            asked=asked,
            files=files,
            key_name=run.key_name or "row",
            key_kind=run.key_kind or KeyKind.ROW,
            price=price_of(batch.model, ports.prices),
            shards=near(shards, batch),
        )
    )
    await _tell(ports, batch, verdicts)
    setbacks = await _setbacks(ports, run, batch, verdicts.problems)
    booked = [(extra, verdicts.sums[extra.batch_no]) for extra in extras]
    settled = await ports.store.requests.record_outcomes(
        ports.lease,
        batch,
        successes=verdicts.successes,
        setbacks=setbacks,
        sums=verdicts.sums[batch.batch_no],
        event=BatchEvent.SETTLED,
        now=ports.now(),
        extras=booked,
    )
    for extra, sums in booked:
        await tell_booked(ports, extra, sums)
    await let_go(ports, [(file.name, 0, file.bytes) for file in files])
    return settled


async def _setbacks(ports: Ports, run: Run, batch: Batch, problems: Sequence[Problem]) -> list[Setback]:
    """What becomes of each request without an accepted output; the lines of those that are asked
    differently next time are written."""
    if not problems:
        return []
    found = await ports.store.requests.members(batch, [problem.seq for problem in problems])
    members = {member.seq: member for member in found}
    decided = [
        (problem, _decide(ports, run, batch.model, problem, members[problem.seq])) for problem in problems
    ]
    amendments = [
        Amendment(problem=problem, member=members[problem.seq], again=decision.again)
        for problem, decision in decided
        if decision.again not in (None, Again.UNCHANGED)
    ]
    lines = await amended_lines(ports, batch, amendments)
    return [
        msgspec.structs.replace(_setback(ports, run, problem, decision), line=lines.get(problem.seq))
        for problem, decision in decided
    ]


async def _result_files(ports: Ports, batch: Batch, extras: Sequence[Batch]) -> list[ResultFile]:
    """The batch's own files, then those of its extras that may hold answers."""
    numbers = {path: number for number, path in (await ports.store.requests.file_paths(batch.run_no)).items()}
    wanted = [(batch, kind) for kind in RESULT_KINDS] + [(extra, "output") for extra in extras]
    names = [(each, results_name(ports.run_id, each, kind)) for each, kind in wanted]
    return [
        ResultFile(file_no=numbers[name], name=name, bytes=ports.spool.size(name), batch_no=each.batch_no)
        for each, name in names
        if name in numbers
    ]


def _decide(ports: Ports, run: Run, model: str, problem: Problem, member: Member) -> RetryDecision:
    """What becomes of a request without an accepted output."""
    policy = RetryPolicy(
        max_attempts=run.spec.max_attempts,
        fallback=ports.task.task.fallback_model is not None,
        retry_refusals=ports.task.task.on_refusal == "retry",
    )
    if problem.rejection is not None:
        can_grow = problem.rejection is Rejection.TRUNCATED and cap_can_grow(ports, problem, model)
        return after_rejection(problem.rejection, policy, attempts=member.attempts + 1, cap_can_grow=can_grow)
    return after_no_answer(
        problem.outcome,
        policy,
        status=problem.status,
        attempts=member.attempts,
        expiries=member.expiries,
    )


def _setback(ports: Ports, run: Run, problem: Problem, decision: RetryDecision) -> Setback:
    event, due_at = RequestEvent.FAILED, None
    if decision.again is not None and run.wish is Wish.CANCEL:
        event = RequestEvent.GIVEN_UP
    elif decision.again is not None and decision.delay:
        # Spread, so that a thousand lines refused at once do not come back at once.
        event, due_at = RequestEvent.POSTPONED, ports.now() + decision.delay * (1 + ports.clock.chance())
    elif decision.again is not None:
        event = RequestEvent.RETURNED
    given_up = event is RequestEvent.GIVEN_UP
    return Setback(
        seq=problem.seq,
        event=event,
        reason=decision.reason,
        message=problem.message,
        outcome=problem.outcome,
        finish=problem.finish,
        costs_attempt=decision.costs_attempt and not given_up,
        costs_expiry=not decision.costs_attempt and not given_up,
        answer=problem.answer,
        due_at=due_at,
        input_tokens=problem.usage.input_tokens,
        output_tokens=problem.usage.output_tokens,
        cost_pusd=problem.cost_pusd,
    )


async def _tell(ports: Ports, batch: Batch, verdicts: Verdicts) -> None:
    """What no request's state can show is at least said."""
    told = {
        "unknown_results": verdicts.unknown[:TOLD],
        "unknown_result_count": len(verdicts.unknown),
        "duplicate_results": verdicts.duplicates,
        "unreadable_lines": verdicts.unreadable,
        "callback_errors": verdicts.callback_errors[:TOLD],
        "missing": sum(problem.outcome is Outcome.MISSING for problem in verdicts.problems),
    }
    if any(told.values()):
        await ports.tell(
            EventName.RESULTS_ODD,
            batch,
            **{name: value for name, value in told.items() if value},
        )
