"""The store's part for looking at a run in pages, and at all runs in sums."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from nightmail.core.failure import Reason
from nightmail.core.request import RequestState
from nightmail.stores.nouns import Key


class PageRow(NamedTuple):
    """One request, for a page of results. `message` is of its newest attempt that did not succeed; `part`
    has its output, if that is not with its batch's."""

    seq: int
    key: Key
    state: RequestState
    attempts: int
    batch_no: int | None
    reason: Reason | None
    message: str | None
    part: str | None = None


class Queue(NamedTuple):
    """One model's queue at an account: what is in flight and what is planned (of one tenant, if asked for
    one), and what the provider's refusals have taught: the limit that it named and when, how often it has
    refused in a row, until when nothing is tried."""

    account: str
    model: str
    batches: int
    requests: int
    tokens: int
    limit_tokens: int | None
    learned_at: datetime | None
    refusals: int
    blocked_until: datetime | None
    planned: int
    planned_tokens: int


class Cost(NamedTuple):
    """What settled batches of one UTC day and model came to. Pico-USD; None where a price is unknown."""

    day: str
    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    cost_pusd: int | None
    sync_cost_pusd: int | None
    wasted_pusd: int | None


class Pages(Protocol):
    async def page(
        self, run_no: int, *, after: int, limit: int, state: RequestState | None
    ) -> Sequence[PageRow]:
        """Requests numbered above `after`, in order; of one state if given."""
        ...

    async def rows(self, run_no: int, seqs: Sequence[int]) -> Sequence[PageRow]:
        """These requests, in order."""
        ...

    async def queues(self, *, tenant: str | None) -> Sequence[Queue]:
        """Every model's queue that is known or in use."""
        ...

    async def costs(self, *, tenant: str | None, since: datetime) -> Sequence[Cost]:
        """By the day on which batches were submitted and by model, oldest first."""
        ...
