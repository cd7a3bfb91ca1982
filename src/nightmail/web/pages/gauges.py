"""How full each model's queue at the provider is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from nightmail.core.progress import RunStatus
from nightmail.stores.base import Queue


class Gauge(NamedTuple):
    """One model's queue: tokens in it, and what it takes, None if nobody has said so yet. `is_learned`: the
    provider's refusals have taught that."""

    account: str
    model: str
    batches: int
    requests: int
    tokens: int
    limit: int | None
    is_learned: bool
    blocked_until: datetime | None

    @property
    def share(self) -> float | None:
        """Of the limit that is in use, 1 at most."""
        return None if not self.limit else min(1.0, self.tokens / self.limit)


def gauges(queues: Sequence[Queue], given: Mapping[str, int], runs: Iterable[RunStatus] = ()) -> list[Gauge]:
    """The queues with the lowest of their limits: of the settings, of the runs that are going on, learned."""
    limits: dict[str, list[int]] = {model: [limit] for model, limit in given.items()}
    for run in runs:
        for model, quota in run.quotas.items():
            limits.setdefault(model, []).append(quota)
    found = []
    for queue in queues:
        known = limits.get(queue.model, [])
        learned = [queue.limit_tokens] if queue.limit_tokens is not None else []
        limit = min([*known, *learned], default=None)
        found.append(
            Gauge(
                queue.account,
                queue.model,
                queue.batches,
                queue.requests,
                queue.tokens,
                limit,
                bool(learned) and limit == queue.limit_tokens,
                queue.blocked_until,
            )
        )
    return found
