"""Whether a batch may be submitted now: room in the account's queue, the hour's creates, whose turn it is.

What is enqueued is not kept in a ledger of its own: it is the sum over the batches that the provider
may have (submitting, doubtful, in progress), so it cannot disagree with them. What was learned from the
provider's refusals is kept beside it, per account and model.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec

from nightmail.core.limits import Limits
from nightmail.core.planning import HEADROOM

# A limit that the provider named holds, but accounts are raised: what we dare grows by this share per
# hour, up to what the user or the facts say.
PROBE_PER_HOUR = 0.1
# After a refusal nothing is tried for a minute, after the next for two, and so on.
FIRST_BLOCK = timedelta(minutes=1)
LONGEST_BLOCK = timedelta(minutes=15)
# A waiting run gains one step of priority in this time, so that nothing starves.
AGEING = timedelta(minutes=10)


class Hold(StrEnum):
    """Why a batch has to wait."""

    QUEUE = "queue"  # the model's queue at the provider is full, by our books
    BLOCKED = "blocked"  # the provider refused for its queue; tried again after a while, one at a time
    BATCHES = "batches"  # as many batches are in flight as are allowed
    CREATES = "creates"  # as many batches were created this hour as are allowed
    TURN = "turn"  # another run goes first
    BUDGET = "budget"  # the money that is left is reserved for what is in flight, or spent


class Enqueued(NamedTuple):
    """What an account has in flight for one model, by our books."""

    batches: int = 0
    tokens: int = 0
    requests: int = 0
    unconfirmed: int = 0  # of the batches: those that the provider may still refuse


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider's refusals have taught: `limit` is its own number, if it named one."""

    limit: int | None = None
    learned_at: datetime | None = None
    refusals: int = 0  # in a row
    blocked_until: datetime | None = None


class Claimant(NamedTuple):
    """A run that wants to submit for a model whose queue is shared."""

    run_no: int
    priority: int
    waiting_since: datetime
    tokens: int  # it has in flight


def after_refusal(before: Learned, *, said: int | None, now: datetime) -> Learned:
    """What a refusal teaches: the limit, if the provider named it, and to wait. Refused below that limit
    means that somebody else uses the account too, against which only waiting helps."""
    refusals = before.refusals + 1
    block = min(LONGEST_BLOCK, FIRST_BLOCK * 2 ** (refusals - 1))
    return Learned(
        limit=said if said is not None else before.limit,
        learned_at=now if said is not None else before.learned_at,
        refusals=refusals,
        blocked_until=now + block,
    )


def after_acceptance(before: Learned) -> Learned:
    """The provider took a batch: refusals are no longer in a row."""
    return msgspec.structs.replace(before, refusals=0, blocked_until=None)


def usable_tokens(limits: Limits, learned: Learned, now: datetime) -> int | None:
    """How many tokens we keep enqueued at most; None if no limit is known. The headroom is for the
    provider's own way of counting, which it does not show."""
    known = limits.max_enqueued_tokens
    if learned.limit is not None and learned.learned_at is not None:
        hours = max(0.0, (now - learned.learned_at) / timedelta(hours=1))
        dared = int(learned.limit * (1 + PROBE_PER_HOUR * int(hours)))
        known = dared if known is None else min(known, dared)
    return None if known is None else int(known * HEADROOM)


def hold_of(
    limits: Limits,
    learned: Learned,
    enqueued: Enqueued,
    *,
    active_batches: int,
    creates_this_hour: int,
    tokens: int,
    requests: int,
    now: datetime,
) -> Hold | None:
    """Why a batch of `tokens` must wait, or None if there is room. A batch larger than the whole quota is
    let through alone: waiting would not make it fit, and the provider's count may be lower than ours."""
    if limits.max_active_batches is not None and active_batches >= limits.max_active_batches:
        return Hold.BATCHES
    if limits.max_creates_per_hour is not None and creates_this_hour >= limits.max_creates_per_hour:
        return Hold.CREATES
    blocked_until = learned.blocked_until
    # No block is longer: one that ends later was noted before the clock was set back.
    if blocked_until is not None and now < blocked_until <= now + LONGEST_BLOCK:
        return Hold.BLOCKED
    if learned.refusals and enqueued.unconfirmed:
        # One at a time until the provider takes one: a night of batches refused one after the other
        # would be a cascade.
        return Hold.BLOCKED
    room = usable_tokens(limits, learned, now)
    if room is not None and enqueued.tokens and enqueued.tokens + tokens > room:
        return Hold.QUEUE
    most = limits.max_enqueued_requests
    if most is not None and enqueued.requests and enqueued.requests + requests > most:
        return Hold.QUEUE
    return None


def is_scarce(limits: Limits, learned: Learned, enqueued: Enqueued, tokens: int, now: datetime) -> bool:
    """After a batch of `tokens`, would there be no room for another like it? Only then have equals to
    take turns."""
    room = usable_tokens(limits, learned, now)
    if room is not None and enqueued.tokens + 2 * tokens > room:
        return True
    return limits.max_active_batches is not None and enqueued.batches + 2 > limits.max_active_batches


def goes_first(mine: Claimant, others: Iterable[Claimant], now: datetime, *, scarce: bool = True) -> bool:
    """Is it this run's turn, among those that wait for the same queue? The higher priority, grown by
    waiting, goes first; among equals, where room is scarce, the one that has less in flight."""
    if scarce:
        return all(_rank(mine, now) >= _rank(other, now) for other in others)
    return all(_rank(mine, now)[0] >= _rank(other, now)[0] for other in others)


def _rank(claimant: Claimant, now: datetime) -> tuple[int, int, int]:
    aged = int((now - claimant.waiting_since) / AGEING)
    return claimant.priority + max(0, aged), -claimant.tokens, -claimant.run_no
