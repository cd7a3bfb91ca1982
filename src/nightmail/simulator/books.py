"""The books: what was executed and billed, and how full the queues ever were.

They are the provider's side of every promise about money: a test compares them with what the client
believes it paid for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from nightmail.simulator.catalogue import queue_of
from nightmail.simulator.records import Batch
from nightmail.simulator.state import State, unpacked

_TOKENS = ("input_tokens", "output_tokens")
_BATCHES = (
    "SELECT batch, id, model, requests, input_tokens, output_tokens, executions, lost_requests, "
    "lost_input_tokens, lost_output_tokens, (SELECT record FROM batches WHERE id = books.id) "
    "FROM books ORDER BY batch"
)


def books(state: State, quotas: Mapping[str, int]) -> dict[str, Any]:
    """Totals, the bill per model and mode, every batch, the queues, and how often each fault struck.

    `lost` of a batch is what it billed and no client can read. `calls` are the synchronous ones.
    """
    batches = [_batch(row) for row in state.rows(_BATCHES)]
    models: dict[str, Counter[str]] = {}
    bill: dict[str, dict[str, Counter[str]]] = {}
    for one in batches:
        counted = {name: one[name] for name in ("requests", *_TOKENS)}
        models.setdefault(one["model"], Counter()).update({"batches": 1} | counted)
        _add(bill, one["model"], "batch", counted)
    totals: Counter[str] = Counter(dict.fromkeys(("batches", "requests", *_TOKENS), 0))
    for counts in models.values():
        totals.update(counts)
    calls: dict[str, Counter[str]] = {}
    for model, tier, count, taken, given in state.rows("SELECT * FROM calls ORDER BY model, tier"):
        tokens = {"input_tokens": taken, "output_tokens": given}
        calls.setdefault(model, Counter()).update({"calls": count} | tokens)
        _add(bill, queue_of(model), "flex" if tier == "flex" else "sync", {"requests": count} | tokens)
    return {
        "totals": totals,
        "bill": bill,
        "models": models,
        "batches": batches,
        "calls": calls,
        "enqueued": {queue: tokens for queue, (tokens, _) in state.enqueued().items()},
        "peak_enqueued": dict(state.rows("SELECT queue, tokens FROM peaks")),
        "queues": {
            queue: _queue(rest, quotas.get(queue)) for queue, *rest in state.rows("SELECT * FROM queues")
        },
        "struck": dict(state.rows("SELECT kind, count FROM struck ORDER BY kind")),
    }


def _batch(row: tuple[Any, ...]) -> dict[str, Any]:
    number, name, model, requests, taken, given, executions, *lost, record = row
    batch = msgspec.json.decode(record, type=Batch)
    return {
        "number": number, "id": name, "model": model, "requests": requests, "input_tokens": taken,
        "output_tokens": given, "executions": executions, "status": batch.status,
        "metadata": batch.metadata, "input_file_id": batch.input_file_id, "faults": sorted(batch.faults),
        "lost": dict(zip(("requests", *_TOKENS), lost, strict=True)),
    }  # fmt: skip


def _add(bill: dict[str, dict[str, Counter[str]]], model: str, mode: str, counted: Mapping[str, int]) -> None:
    # The built-in model caches nothing; the figure is there because bills have it.
    bill.setdefault(model, {}).setdefault(mode, Counter()).update({"cached_tokens": 0, **counted})


def _queue(row: list[Any], quota: int | None) -> dict[str, Any]:
    at, tokens, token_seconds, busy_seconds = row
    mean = token_seconds / busy_seconds if busy_seconds else 0.0
    return {
        "quota": quota, "enqueued": tokens, "since": at, "token_seconds": token_seconds,
        "busy_seconds": busy_seconds, "mean_enqueued": mean,
        "utilisation": mean / quota if quota else None,
    }  # fmt: skip


def levels(state: State, model: str) -> list[tuple[float, int]]:
    """How many tokens were enqueued from which time on, oldest first; at least the last 20,000 changes."""
    return state.rows("SELECT at, tokens FROM levels WHERE queue = ? ORDER BY number", model)


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
