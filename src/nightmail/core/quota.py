"""Whether a batch may be submitted now.

What is enqueued is not kept in a ledger of its own: it is the sum over the batches that the provider
may have (submitting, doubtful, in progress), so it cannot disagree with them.
"""

from __future__ import annotations

from typing import NamedTuple

from nightmail.core.limits import Limits
from nightmail.core.planning import HEADROOM


class Enqueued(NamedTuple):
    """What an account has in flight for one model, by our books."""

    batches: int
    tokens: int


def admits(limits: Limits, enqueued: Enqueued, tokens: int) -> bool:
    """Is there room for a batch of `tokens`? A batch larger than the whole quota is let through
    alone: waiting would not make it fit, and the provider's count may be lower than ours."""
    if limits.max_active_batches is not None and enqueued.batches >= limits.max_active_batches:
        return False
    if limits.max_enqueued_tokens is None or enqueued.tokens == 0:
        return True
    return enqueued.tokens + tokens <= int(limits.max_enqueued_tokens * HEADROOM)
