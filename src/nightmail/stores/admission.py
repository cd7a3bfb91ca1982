"""May a batch be submitted: the one place that looks at the queue, the hour, the money and the turn.

All of it inside the transaction that then moves the batch, so that two workers cannot both take the
last room.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from nightmail.core.batch import Batch
from nightmail.core.budget import Money, fits
from nightmail.core.quota import (
    Claimant,
    Enqueued,
    Hold,
    Learned,
    exceeds_share,
    goes_first,
    hold_of,
    usable_tokens,
)
from nightmail.core.request import Mode
from nightmail.stores.base import Admission
from nightmail.stores.database import Transaction, at, moment

HOUR = timedelta(hours=1)
# A run that has not asked for so long does not wait any more: its worker is gone or busy elsewhere.
ASKING = timedelta(seconds=45)


def admit(tx: Transaction, batch: Batch, admission: Admission, now: datetime) -> Hold | None:
    """Why the batch must wait, or None if it may go; the run is noted as waiting or as served."""
    hold = _hold(tx, batch, admission, now)
    key = {"account": batch.account, "model": batch.model, "run_no": batch.run_no}
    if hold is not None and hold not in (Hold.BUDGET, Hold.OUTGROWN, Hold.SHARE):
        tx.run("note_wait", **key, now=at(now))
    elif hold is None:
        # Served; with more to send it stays in the line, at its end.
        tx.run("end_wait", **key)
        if tx.row("has_more", batch_no=batch.batch_no, **key):
            tx.run("note_wait", **key, now=at(now))
    return hold


def _hold(tx: Transaction, batch: Batch, admission: Admission, now: datetime) -> Hold | None:
    if not _affordable(tx, batch, admission, now):
        return Hold.BUDGET
    if batch.mode is not Mode.BATCH:
        return None
    active = tx.row("count_active", account=batch.account)
    creates = tx.row("count_creates", account=batch.account, since=at(now - HOUR))
    assert active is not None
    assert creates is not None
    learned = read_learned(tx, batch.account, batch.model)
    enqueued = read_enqueued(tx, batch.account, batch.model)
    hold = hold_of(
        admission.limits,
        learned,
        enqueued,
        active_batches=active["n"],
        creates_this_hour=creates["n"],
        tokens=admission.tokens,
        requests=batch.requests,
        now=now,
    )
    if hold is not None:
        return hold
    room = usable_tokens(admission.limits, learned, now)
    if _exceeds_share(tx, batch, admission, room):
        return Hold.SHARE
    return None if _has_turn(tx, batch, admission, room, now) else Hold.TURN


def _affordable(tx: Transaction, batch: Batch, admission: Admission, now: datetime) -> bool:
    reserve = admission.reserve_pusd or 0
    if admission.budget_pusd is not None:
        row = tx.row("run_spending", run_no=batch.run_no)
        assert row is not None
        if row["reserved"] and not admission.learned:
            # Answers may be many times as long as guessed: the first batch tells, before a second goes.
            return False
        if not fits(Money(spent=row["spent"], reserved=row["reserved"]), admission.budget_pusd, reserve):
            return False
    if admission.daily_pusd is not None:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        row = tx.row("day_spending", since=at(midnight))
        assert row is not None
        if not fits(Money(spent=row["spent"], reserved=row["reserved"]), admission.daily_pusd, reserve):
            return False
    tenant = tx.row("read_tenant_of_run", run_no=batch.run_no)
    if tenant is not None and tenant["budget_pusd"] is not None:
        month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        row = tx.row("tenant_spending", tenant=tenant["name"], since=at(month))
        assert row is not None
        money = Money(spent=row["spent"], reserved=row["reserved"])
        # At an unknown price no budget can hold.
        return admission.reserve_pusd is not None and fits(money, tenant["budget_pusd"], reserve)
    return True


def _exceeds_share(tx: Transaction, batch: Batch, admission: Admission, room: int | None) -> bool:
    tenant = tx.row("read_tenant_of_run", run_no=batch.run_no)
    if tenant is None or tenant["share"] is None:
        return False
    own = tx.row("tenant_in_flight", tenant=tenant["name"], account=batch.account, model=batch.model)
    assert own is not None
    return exceeds_share(tenant["share"], room=room, in_flight=own["tokens"], tokens=admission.tokens)


def _has_turn(tx: Transaction, batch: Batch, admission: Admission, room: int | None, now: datetime) -> bool:
    asked = {"asked_since": at(now - ASKING), "now": at(now)}
    rows = tx.rows("list_waits", account=batch.account, model=batch.model, **asked)
    waits = {
        row["run_no"]: Claimant(
            row["run_no"], row["priority"], moment(row["since"]) or now, row["tokens"], row["batches"]
        )
        for row in rows
    }
    mine = waits.pop(batch.run_no, None)
    if mine is None:
        own = tx.row("own_in_flight", account=batch.account, model=batch.model, run_no=batch.run_no)
        assert own is not None
        mine = Claimant(batch.run_no, admission.priority, now, own["tokens"], own["batches"])
    return goes_first(
        mine,
        waits.values(),
        now,
        tokens=admission.tokens,
        room=room,
        slots=admission.limits.max_active_batches,
    )


def read_enqueued(tx: Transaction, account: str, model: str) -> Enqueued:
    row = tx.row("count_enqueued", account=account, model=model)
    assert row is not None
    return Enqueued(row["batches"], row["tokens"], row["requests"], row["unconfirmed"])


def read_learned(tx: Transaction, account: str, model: str) -> Learned:
    row = tx.row("read_quota", account=account, model=model)
    if row is None:
        return Learned()
    return Learned(
        limit=row["limit_tokens"],
        learned_at=moment(row["learned_at"]),
        refusals=row["refusals"],
        blocked_until=moment(row["blocked_until"]),
    )


def write_learned(tx: Transaction, account: str, model: str, learned: Learned) -> None:
    tx.run(
        "write_quota",
        account=account,
        model=model,
        limit_tokens=learned.limit,
        learned_at=at(learned.learned_at) if learned.learned_at else None,
        refusals=learned.refusals,
        blocked_until=at(learned.blocked_until) if learned.blocked_until else None,
    )
