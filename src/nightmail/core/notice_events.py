"""Which event somebody is to be told of, and in what words. Who is told is decided elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from nightmail.core.batch import Phase
from nightmail.core.notice import Happening, Making, Notice, NoticeKind
from nightmail.core.pricing import format_usd
from nightmail.core.progress import RunStatus
from nightmail.core.run import PauseReason, RunState


def of_event(event: Happening, status: RunStatus, *, home: str, now: datetime) -> list[Notice]:
    """What is to be told of an event; `status` is its run as it is by now. `home` is the home's own name,
    which makes ids of two homes differ."""
    make = Making(home, event.at, status, now)
    run = event.run_id
    match event.name, event.detail:
        case "run_moved", {"new": RunState.FINISHED}:
            return [_finished(make, event)]
        case "run_moved", {"new": RunState.CANCELLED}:
            text = f"{status.succeeded:,} of {status.records:,} records had succeeded and are delivered."
            return [make(NoticeKind.RUN_CANCELLED, f"{run} is cancelled", text, key=[event.event_no])]
        case "run_moved", {"new": RunState.PAUSED, "reason": reason} if reason != PauseReason.USER:
            return [_paused(make, event, PauseReason(reason))]
        case "run_put_off", {"message": str(message)}:
            title = f"{run} cannot be worked on"
            to_do = "Mend it; a worker tries again by itself every few minutes."
            return [make(NoticeKind.RUN_PUT_OFF, title, message, to_do=to_do, key=[message])]
        case "batch_doubtful", {"message": str(message)}:
            title = f"nobody knows whether the provider has {event.batch_id}"
            return [
                make(NoticeKind.BATCH_DOUBTFUL, title, message, key=[event.batch_id], batch_id=event.batch_id)
            ]
        case "batch_ended", {"phase": Phase.EXPIRED}:
            return [_expired(make, event)]
        case "quota_learned", detail:
            return list(_quota(make, event, detail))
    return []


def _finished(make: Making, event: Happening) -> Notice:
    status = make.status
    assert status is not None
    text = f"{status.succeeded:,} succeeded, {status.failed:,} failed, {status.cancelled:,} cancelled."
    if status.cost_pusd is not None:
        text += f" It cost {format_usd(status.cost_pusd)} USD"
        saved = status.savings_pusd
        text += f", {format_usd(saved)} USD less than by synchronous calls." if saved else "."
    if status.output is not None:
        text += f" Output: {status.output}"
    failed = f"What failed and why: {status.failures}. To ask again: nightmail retry {status.run_id}"
    return make(
        NoticeKind.RUN_FINISHED,
        f"{status.run_id} is finished: {status.succeeded:,} of {status.records:,} records succeeded",
        text,
        to_do=failed if status.failed else None,
        key=[event.event_no],
        facts={
            "records": status.records,
            "succeeded": status.succeeded,
            "failed": status.failed,
            "cancelled": status.cancelled,
            "cost_usd": format_usd(status.cost_pusd),
        },
    )


def _paused(make: Making, event: Happening, reason: PauseReason) -> Notice:
    run = event.run_id
    to_do = {
        PauseReason.CREDENTIALS: f"Give the worker a key that is accepted, then: nightmail resume {run}",
        PauseReason.BILLING: f"See to the account's credit or spend limit, then: nightmail resume {run}",
    }.get(reason)
    return make(
        NoticeKind.RUN_PAUSED,
        f"{run} is paused: {reason}",
        event.detail.get("message") or "Nothing new is sent; nothing is lost.",
        to_do=to_do,
        key=[event.event_no],
        facts={"reason": reason.value},
    )


def _expired(make: Making, event: Happening) -> Notice:
    done, requests = event.detail.get("completed"), event.detail.get("requests")
    said = f"{done:,} of {requests:,} requests were done" if done is not None else "Some requests were done"
    return make(
        NoticeKind.BATCH_EXPIRED,
        f"{event.batch_id} has expired",
        f"{said} and are kept; the others are sent again. That costs them no attempt.",
        batch_id=event.batch_id,
        key=[event.batch_id],
        facts={"completed": done, "requests": requests},
    )


def _quota(make: Making, event: Happening, detail: dict[str, Any]) -> Iterable[Notice]:
    model, limit, until = detail["model"], detail.get("limit"), detail.get("blocked_until")
    queue = [detail.get("account"), model]
    if limit is not None and limit != detail.get("limit_before"):
        yield make(
            NoticeKind.QUOTA_LEARNED,
            f"the queue of {model} takes {limit:,} tokens",
            "The provider named this limit. It is kept from now on; what does not fit waits.",
            to_do=f'To begin below it: "{model}" = {limit:_} under [quotas] in nightmail.toml',
            key=[*queue, limit],
            facts={"model": model, "limit": limit},
        )
    if until is not None and detail.get("refusals"):
        yield make(
            NoticeKind.QUOTA_BLOCKED,
            f"the provider takes nothing more for {model} now",
            "Its queue is full of what is not ours, by our books. It is tried again, with one batch.",
            to_do="Nothing, unless another program should not use this account.",
            # Once a day and model: a queue that is full for a night is refused many times.
            key=[*queue, f"{event.at:%Y-%m-%d}"],
            facts={"model": model, "blocked_until": until},
        )
