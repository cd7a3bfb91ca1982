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
# Into a queue of which nobody knows how much it takes, so many batches go before the first answer; after
# that as many as were taken. So of a night's batches a few are uploaded in vain, not all.
FIRST_DARED = 4
# After a refusal nothing is tried for a minute, after the next for two, and so on.
FIRST_BLOCK = timedelta(minutes=1)
LONGEST_BLOCK = timedelta(minutes=15)
# So long after a block batches go one by one, each when the one before was taken: whoever else uses the
# account has not gone because there was room once.
WARY = timedelta(hours=1)
# A waiting run gains one step of priority in this time, so that nothing starves.
AGEING = timedelta(minutes=10)


class Hold(StrEnum):
    """Why a batch has to wait."""

    QUEUE = "queue"  # the model's queue at the provider is full, by our books
    BLOCKED = "blocked"  # the provider refused for its queue; tried again after a while, one at a time
    UNSURE = "unsure"  # nobody knows how much the queue takes: more goes when what was sent is taken
    BATCHES = "batches"  # as many batches are in flight as are allowed
    CREATES = "creates"  # as many batches were created this hour as are allowed
    OUTGROWN = "outgrown"  # it is larger than all that the provider takes, as is known by now: it is cut anew
    TURN = "turn"  # another run goes first
    SHARE = "share"  # the tenant's part of the queue is in use
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
    batches: int  # likewise


def after_refusal(before: Learned, *, said: int | None, ours: int, others: int, now: datetime) -> Learned:
    """What a refusal of `ours` tokens teaches, beside `others` that were enqueued by our books: the limit,
    if the provider named it, and patience.

    If the named limit explains the refusal, keeping it is enough. Refused below it means that somebody
    else uses the account too, against which only waiting helps. A batch that was on its way when the last
    refusal came is no further one."""
    said = said or None  # a queue that takes nothing at all is not small, but shut
    learned = Learned(
        limit=said if said is not None else before.limit,
        learned_at=now if said is not None else before.learned_at,
        refusals=before.refusals,
        blocked_until=before.blocked_until,
    )
    explained = said is not None and others + ours > _with_headroom(said)
    if explained and (others or before.limit != said):
        return learned
    if before.blocked_until is not None and now < before.blocked_until:
        return learned
    block = min(LONGEST_BLOCK, FIRST_BLOCK * 2**before.refusals)
    return msgspec.structs.replace(learned, refusals=before.refusals + 1, blocked_until=now + block)


def after_acceptance(before: Learned) -> Learned:
    """The provider took a batch: refusals are no longer in a row. The last block is remembered."""
    return msgspec.structs.replace(before, refusals=0)


def queue_limit(limits: Limits, learned: Learned, now: datetime) -> int | None:
    """How many tokens the provider takes for a model, as far as is known: given by the user, or named by
    the provider and dared a little more since."""
    known = limits.max_enqueued_tokens
    if learned.limit is not None and learned.learned_at is not None:
        hours = max(0.0, (now - learned.learned_at) / timedelta(hours=1))
        dared = int(learned.limit * (1 + PROBE_PER_HOUR * int(hours)))
        known = dared if known is None else min(known, dared)
    return known


def usable_tokens(limits: Limits, learned: Learned, now: datetime) -> int | None:
    """How many tokens we keep enqueued at most; None if no limit is known. The headroom is for the
    provider's own way of counting, which it does not show."""
    known = queue_limit(limits, learned, now)
    return None if known is None else _with_headroom(known)


def exceeds_share(share: float | None, *, room: int | None, in_flight: int, tokens: int) -> bool:
    """Would a tenant, with so much in flight, fill more than its part of a queue that takes `room`? A
    batch that is larger than the part goes alone: waiting would not make it fit."""
    return share is not None and room is not None and in_flight > 0 and in_flight + tokens > share * room


def _with_headroom(limit: int) -> int:
    return int(limit * HEADROOM)


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
    """Why a batch of `tokens` must wait, or None if there is room. One larger than the whole quota is cut
    anew if the provider has named its limit since; else, or if it is a single request, it is let through
    alone: waiting would not make it fit, and the provider's count may be lower than ours."""
    if limits.max_active_batches is not None and active_batches >= limits.max_active_batches:
        return Hold.BATCHES
    if limits.max_creates_per_hour is not None and creates_this_hour >= limits.max_creates_per_hour:
        return Hold.CREATES
    room = usable_tokens(limits, learned, now)
    if room is not None and tokens > room and requests > 1 and learned.limit is not None:
        return Hold.OUTGROWN
    blocked_until = learned.blocked_until
    # No block is longer: one that ends later was noted before the clock was set back.
    if blocked_until is not None and now < blocked_until <= now + LONGEST_BLOCK:
        return Hold.BLOCKED
    if learned.refusals and enqueued.unconfirmed:
        # One at a time until the provider takes one: a night of batches refused one after the other
        # would be a cascade.
        return Hold.BLOCKED
    if learned.blocked_until is not None and now < learned.blocked_until + WARY and enqueued.unconfirmed:
        return Hold.UNSURE
    if room is None and enqueued.unconfirmed >= max(FIRST_DARED, enqueued.batches - enqueued.unconfirmed):
        return Hold.UNSURE
    if room is not None and enqueued.tokens and enqueued.tokens + tokens > room:
        return Hold.QUEUE
    most = limits.max_enqueued_requests
    if most is not None and enqueued.requests and enqueued.requests + requests > most:
        return Hold.QUEUE
    return None


def goes_first(
    mine: Claimant,
    others: Iterable[Claimant],
    now: datetime,
    *,
    tokens: int,
    room: int | None,
    slots: int | None,
) -> bool:
    """May this run send a batch of `tokens`, beside those that wait for the same queue? The higher priority,
    grown by waiting, goes first. Equals may each fill an equal part of the queue's `room` (in tokens) and
    of the `slots` (in batches) without asking who else is there; what a part is too small for goes to
    whoever has least in flight."""
    priority = _aged(mine, now)
    others = list(others)
    if any(_aged(other, now) > priority for other in others):
        return False
    equals = [other for other in others if _aged(other, now) == priority]
    runs = len(equals) + 1
    if (room is None or (mine.tokens + tokens) * runs <= room) and (
        slots is None or (mine.batches + 1) * runs <= slots
    ):
        return True
    return all((mine.tokens, mine.run_no) < (other.tokens, other.run_no) for other in equals)


def _aged(claimant: Claimant, now: datetime) -> int:
    return claimant.priority + max(0, int((now - claimant.waiting_since) / AGEING))
