"""How requests are cut into batches.

Order is kept: a batch is a run of consecutive requests, as long as every limit allows. One batch
holds one model and one endpoint; whoever calls passes the requests of one such group.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

import msgspec

from nightmail.core.limits import Limits

# Share of a model's queue that we use: the provider counts its own way, and the count is not shown.
HEADROOM = 0.95
MOST_OFF = 10.0
# A queue filled by several batches drains and refills bit by bit; one batch of the queue's size would
# leave it empty while that batch is worked off. What does not fit is less than one batch: with sixteen,
# and the headroom, at least 85 % of the queue is in use while work waits.
BATCHES_PER_QUOTA = 16
# The first batches of a run are smaller than they may be: the provider works on them while the rest is still
# being built, and first answers show what is wrong with a task. Each may be as large as all before it, so
# that a long run has only a few of them: 10, 10, 20 and 40 thousand, then 50 each.
FIRST_BATCH = 10_000


class Items(msgspec.Struct):
    """What planning must know of some requests, in order: a column each, all of one length."""

    seqs: list[int] = []
    tokens: list[int] = []
    bytes: list[int] = []
    inputs: list[int] = []

    def __len__(self) -> int:
        return len(self.seqs)

    def add(self, seq: int, tokens: int, size: int, inputs: int) -> None:
        self.seqs.append(seq)
        self.tokens.append(tokens)
        self.bytes.append(size)
        self.inputs.append(inputs)


class Slice(NamedTuple):
    """Requests that make one batch, and their sums."""

    seqs: list[int]
    tokens: int
    bytes: int
    inputs: int


def batch_limits(limits: Limits) -> Limits:
    """The limits of one batch, with the model's queue shared between several of them."""
    quota = limits.max_enqueued_tokens
    if quota is None:
        return limits
    share = max(1, int(quota * HEADROOM) // BATCHES_PER_QUOTA)
    most = min(share, limits.max_batch_tokens) if limits.max_batch_tokens else share
    return msgspec.structs.replace(limits, max_batch_tokens=most)


def most_requests(seq: int) -> int:
    """How many requests a batch has at most that begins with that record of a run, if it is sent for the
    first time."""
    return max(FIRST_BATCH, seq - 1)


def split(items: Items, limits: Limits, *, new: bool = False) -> Iterator[Slice]:
    """Cut `items` into batches, in order, each as large as `limits` allow; of requests that are `new`, the
    first ones smaller.

    A request that exceeds a limit by itself travels alone: refusing it is the business of whoever
    built it, losing it would be worse.
    """
    bounds = (
        (items.tokens, limits.max_batch_tokens),
        (items.bytes, limits.max_batch_bytes),
        (items.inputs, limits.max_batch_inputs),
    )
    # What the requests before each place sum up to: where a limit is reached is looked up, not walked to.
    sums = [(list(accumulate(column, initial=0)), most) for column, most in bounds if most]
    begin, count = 0, len(items)
    while begin < count:
        requests = limits.max_batch_requests
        if new:
            requests = min(requests, most_requests(items.seqs[begin]))
        end = min(count, begin + requests)
        for before, most in sums:
            end = min(end, bisect_right(before, before[begin] + most) - 1)
        end = max(end, begin + 1)
        yield Slice(
            items.seqs[begin:end],
            sum(items.tokens[begin:end]),
            sum(items.bytes[begin:end]),
            sum(items.inputs[begin:end]),
        )
        begin = end


def calibrated(tokens: int, *, counted: int, billed: int) -> int:
    """Our count, corrected by how the requests of this run that came back were billed. Never downwards,
    since a limit that holds by our own count holds; and not without bound, since a server that bills
    nonsense must not stop the run."""
    if not counted or not billed:
        return tokens
    return math.ceil(tokens * min(MOST_OFF, max(1.0, billed / counted)))


def waves(batch_tokens: Iterable[int], limits: Limits) -> int:
    """How many times the model's queue must be filled to get these batches through."""
    if limits.max_enqueued_tokens is None and limits.max_active_batches is None:
        return 1 if any(True for _ in batch_tokens) else 0
    room = int(limits.max_enqueued_tokens * HEADROOM) if limits.max_enqueued_tokens else float("inf")
    slots = limits.max_active_batches or float("inf")
    count, tokens, batches = 0, 0, 0
    for needed in batch_tokens:
        if count == 0 or tokens + needed > room or batches + 1 > slots:
            count, tokens, batches = count + 1, 0, 0
        tokens, batches = tokens + needed, batches + 1
    return count
