"""The books: what was executed and billed, and how full the queues ever were.

They are the provider's side of every promise about money: a test compares them with what the client
believes it paid for.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from nightmail.simulator.state import State, unpacked


def books(state: State) -> dict[str, Any]:
    """Totals, per model, per batch; synchronous calls apart; the highest enqueued tokens per model."""
    batches = [
        {
            "number": number, "id": batch, "model": model, "requests": requests, "input_tokens": input_tokens,
            "output_tokens": output_tokens, "executions": executions,
        }
        for number, batch, model, requests, input_tokens, output_tokens, executions in state.rows(
            "SELECT batch, id, model, requests, input_tokens, output_tokens, executions FROM books "
            "ORDER BY batch"
        )
    ]  # fmt: skip
    models: dict[str, Counter[str]] = {}
    for one in batches:
        models.setdefault(one["model"], Counter()).update(
            {"batches": 1} | {name: one[name] for name in ("requests", "input_tokens", "output_tokens")}
        )
    totals: Counter[str] = Counter(dict.fromkeys(("batches", "requests", "input_tokens", "output_tokens"), 0))
    for counted in models.values():
        totals.update(counted)
    return {
        "totals": totals,
        "models": models,
        "batches": batches,
        "calls": {
            model: {"calls": calls, "input_tokens": input_tokens, "output_tokens": output_tokens}
            for model, calls, input_tokens, output_tokens in state.rows("SELECT * FROM calls ORDER BY model")
        },
        "enqueued": {queue: tokens for queue, (tokens, _) in state.enqueued().items()},
        "peak_enqueued": dict(state.rows("SELECT queue, tokens FROM peaks")),
    }


def billed(state: State, above: int = 0) -> dict[str, int]:
    """How often each `custom_id` was answered and billed; only those with more than `above`."""
    counts: Counter[str] = Counter()
    for (packed,) in state.rows("SELECT billed_ids FROM books ORDER BY batch"):
        counts.update(unpacked(packed))
    return {name: count for name, count in counts.items() if count > above}


class Attempts:
    """How often each `custom_id` was executed before; read from the books at the first question."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._counts: Counter[str] | None = None

    def before(self, custom_ids: list[str]) -> bytes:
        """One byte per id, in order."""
        counts = self._read()
        return bytes(min(counts[custom_id], 255) for custom_id in custom_ids)

    def add(self, custom_ids: list[str]) -> None:
        """Count an execution of each."""
        if self._counts is not None:
            self._counts.update(custom_ids)

    def next(self, name: str) -> int:
        """The number of this execution of one synchronous request, from 1, counted."""
        counts = self._read()
        counts[name] += 1
        return counts[name]

    def _read(self) -> Counter[str]:
        if self._counts is None:
            self._counts = Counter()
            for columns in self._state.rows("SELECT billed_ids, failed_ids FROM books ORDER BY batch"):
                for packed in columns:
                    self._counts.update(unpacked(packed))
        return self._counts
