"""What has become so gradually that no event tells it: of which state of a run, or of a day's money,
somebody is to be told. Found again and again as long as it is so; the notice's id makes it one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from nightmail.core.batch import Batch, BatchState
from nightmail.core.budget import Money
from nightmail.core.notice import Making, Notice, NoticeKind
from nightmail.core.pricing import format_usd
from nightmail.core.progress import RunStatus
from nightmail.core.request import Mode
from nightmail.core.schedule import Occurrence

# Of a budget, in percent.
BUDGET_MARKS = (50, 80, 100)
# Failed records are worth a word from this share of those that are through, once so many are.
FAILED_SHARE = 0.1
FAILED_FROM = 100
# The provider may let a batch wait for most of its day; this long without any change is worth a look.
STUCK_AFTER = timedelta(hours=6)


def of_run(
    status: RunStatus,
    batches: Iterable[Batch],
    *,
    money: Money,
    budget_pusd: int | None,
    home: str,
    now: datetime,
) -> list[Notice]:
    """What is to be told of a run as it is now. `money` is what it has cost so far."""
    make = Making(home, now, status, now)
    run = status.run_id
    found = []
    through = status.succeeded + status.failed + status.cancelled
    if through >= FAILED_FROM and status.failed >= FAILED_SHARE * through:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in status.failures_by_reason.items())
        found.append(
            make(
                NoticeKind.FAILURES_HIGH,
                f"{status.failed / through:.0%} of {run} has failed so far",
                f"{status.failed:,} of {through:,} records that are through have failed: {reasons}.",
                to_do=f"See why: nightmail status {run}. To stop: nightmail pause {run}",
                facts={"failed": status.failed, "through": through},
                key=[],
            )
        )
    if budget_pusd:
        title = f"{run} has spent {{percent}} % of its budget"
        to_do = f"To give it more: nightmail resume {run} --budget USD"
        found += [make(*parts, **more) for parts, more in _marks(money, budget_pusd, title, to_do)]
    for batch in batches:
        since = batch.progressed_at or batch.submitted_at
        if _is_awaited(batch) and since is not None and now - since >= STUCK_AFTER:
            found.append(_stuck(make, batch, since, now))
    deadline = status.deadline
    if deadline is not None and (
        status.hurried or now > deadline or (status.eta is not None and now + status.eta[1] > deadline)
    ):
        how = "What is left leaves the batch API and goes by calls." if status.hurried else ""
        text = f"It is to be over by {deadline:%Y-%m-%d %H:%M} UTC; {status.open:,} records are open. {how}"
        title = f"{run} may miss its deadline"
        facts = {"deadline": deadline, "open": status.open}
        found.append(
            make(NoticeKind.DEADLINE_AT_RISK, title, text.strip(), facts=facts, key=[deadline.isoformat()])
        )
    return found


def of_day(money: Money, budget_pusd: int | None, *, home: str, now: datetime) -> list[Notice]:
    """What is to be told of what all runs of a home have cost today (UTC), against the day's budget."""
    if not budget_pusd:
        return []
    make = Making(home, now, None, now)
    title = "{percent} % of today's budget is spent"
    to_do = "What would go over it waits; to change it: daily_budget in nightmail.toml, then nightmail resume"
    day = f"{now:%Y-%m-%d}"
    return [
        make(*parts, **{**more, "key": [day, *more["key"]]})
        for parts, more in _marks(money, budget_pusd, title, to_do)
    ]


def _stuck(make: Making, batch: Batch, since: datetime, now: datetime) -> Notice:
    hours = int((now - since) / timedelta(hours=1))
    done = f"{batch.completed:,} of {batch.requests:,}" if batch.completed is not None else "nothing"
    return make(
        NoticeKind.BATCH_STUCK,
        f"{batch.batch_id} has not moved for {hours} hours",
        f"The provider says {batch.status!r}, {done} done. It is still looked at; when its day is over it "
        "expires, and what is not done goes again.",
        to_do=f"Look at {batch.provider_batch_id} in the provider's account.",
        batch_id=batch.batch_id,
        key=[batch.batch_id],
        facts={"status": batch.status, "completed": batch.completed, "since": since},
    )


def _marks(
    money: Money, budget: int, title: str, to_do: str
) -> Iterable[tuple[tuple[NoticeKind, str, str], dict[str, Any]]]:
    """The highest mark that is passed; one that was passed together with a higher one is not news."""
    passed = [mark for mark in BUDGET_MARKS if money.spent * 100 >= mark * budget]
    for mark in passed[-1:]:
        text = (
            f"{format_usd(money.spent)} of {format_usd(budget)} USD are spent; "
            f"{format_usd(money.reserved)} USD are reserved for batches under way."
        )
        yield (
            (NoticeKind.BUDGET_USED, title.format(percent=mark), text),
            {
                "to_do": to_do,
                "key": [budget, mark],
                "facts": {
                    "percent": mark,
                    "spent_usd": format_usd(money.spent),
                    "budget_usd": format_usd(budget),
                },
            },
        )


def _is_awaited(batch: Batch) -> bool:
    return batch.state is BatchState.IN_PROGRESS and batch.mode is Mode.BATCH


def of_schedule(name: str, newest: Occurrence, *, home: str, now: datetime) -> list[Notice]:
    """What is to be told of the newest time that a schedule was due."""
    if newest.message is None or newest.run_id is not None:
        return []
    due = f"{newest.due_at:%Y-%m-%d %H:%M} UTC"
    to_do = (
        "It is given up; the next one will be tried."
        if newest.abandoned
        else "Mend it; it is tried again by itself every few minutes."
    )
    return [
        Making(home, now, None, now)(
            NoticeKind.SCHEDULE_PUT_OFF,
            f"the schedule {name} cannot begin its run of {due}",
            newest.message,
            to_do=f"{to_do} See: nightmail schedule list",
            key=[name, newest.due_at.isoformat(), newest.message],
            facts={"schedule": name, "due_at": newest.due_at.isoformat(), "abandoned": newest.abandoned},
        )
    ]
