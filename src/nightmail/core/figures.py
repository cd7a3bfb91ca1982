"""A home in numbers."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

# Seconds: what a batch may take, from a minute to its day.
TURNAROUND_BOUNDS = (60, 300, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 57_600, 86_400, 90_000)


class Turnaround(NamedTuple):
    """How long the provider took for a model's batches, from submission to end: how many took at most as
    long as each of `TURNAROUND_BOUNDS`, how many there are, and the sum in seconds."""

    within: tuple[int, ...]
    batches: int
    seconds: float


class Money(NamedTuple):
    """What a model's settled batches have cost, in pico-USD; `unpriced` of them have no known price and are
    in none of the sums."""

    cost_pusd: int
    sync_cost_pusd: int
    wasted_pusd: int
    unpriced: int
    input_tokens: int
    output_tokens: int


class Queue(NamedTuple):
    """A model's queue at the provider. `limit` is what the provider's refusals taught, None if nothing."""

    account: str
    model: str
    tokens: int
    batches: int
    limit: int | None
    blocked_until: datetime | None


class Waiting(NamedTuple):
    """What waits in an intake: `since` is when the oldest of it came, `most` how many may wait, `seconds` for
    how long one may."""

    records: int
    since: datetime | None
    most: int
    seconds: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All runs of the home together. `waiting_since` is when the oldest batch that has not been sent was
    planned, `unsent` the requests that are in no batch at the provider. Money in pico-USD."""

    runs: dict[str, int]
    records: dict[str, int]
    reasons: dict[str, int]
    batches: dict[str, int]
    events: dict[str, int]
    deliveries: dict[str, int]
    oldest_delivery_at: datetime | None
    unsent: int
    waiting_since: datetime | None
    polls: int
    queues: list[Queue]
    turnaround: dict[str, Turnaround]
    money: dict[str, Money]
    spent_today_pusd: int
    reserved_today_pusd: int
    intakes: dict[str, Waiting] = {}
