"""The home in numbers, read from the tables in one transaction: nothing is counted anywhere else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from nightmail.core.batch import BatchState
from nightmail.core.figures import TURNAROUND_BOUNDS, Figures, Money, Queue, Turnaround, Waiting
from nightmail.core.intake import IntakeSpec
from nightmail.core.request import RequestState
from nightmail.stores.database import Database, Transaction, at, moment


class SqliteFigures:
    """See `nightmail.stores.base_figures.FigureReader`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, *, now: datetime) -> Figures:
        return await self._database.read(lambda tx: _read(tx, now))


def _read(tx: Transaction, now: datetime) -> Figures:
    tallies = tx.rows("figures_of_tallies")
    records = {row["name"]: row["n"] for row in tallies if row["kind"] == "state" and row["n"]}
    batches = {row["name"]: row for row in tx.rows("figures_of_batches")}
    deliveries = {row["name"]: row for row in tx.rows("figures_of_deliveries")}
    planned, pending = batches.get(BatchState.PLANNED), deliveries.get("pending")
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    today = tx.row("day_spending", since=at(midnight))
    assert today is not None
    return Figures(
        runs=_counts(tx.rows("figures_of_runs")),
        records=records,
        reasons={row["name"]: row["n"] for row in tallies if row["kind"] == "reason" and row["n"]},
        batches=_counts(batches.values()),
        events=_counts(tx.rows("figures_of_events")),
        deliveries=_counts(deliveries.values()),
        oldest_delivery_at=moment(pending["oldest"]) if pending else None,
        unsent=sum(records.get(state, 0) for state in (RequestState.READY, RequestState.WAITING)),
        waiting_since=moment(planned["oldest"]) if planned else None,
        polls=sum(row["polls"] for row in batches.values()),
        queues=[
            Queue(
                row["account"], row["model"], row["tokens"], row["batches"], row["limit_tokens"],
                moment(row["blocked_until"]),
            )
            for row in tx.rows("figures_of_queues")
        ],
        turnaround=_turnaround(tx),
        money={
            row["model"]: Money(
                row["cost"], row["sync_cost"], row["wasted"], row["unpriced"], row["input_tokens"],
                row["output_tokens"],
            )
            for row in tx.rows("figures_of_money")
        },
        spent_today_pusd=today["spent"],
        reserved_today_pusd=today["reserved"],
        intakes={
            row["intake_id"]: _waiting(row)
            for row in tx.rows("list_intakes")
        },
    )  # fmt: skip


def _waiting(row: sqlite3.Row) -> Waiting:
    spec = msgspec.json.decode(row["spec"], type=IntakeSpec)
    return Waiting(row["waiting"], moment(row["oldest_at"]), spec.max_waiting, spec.max_wait_seconds)


def _turnaround(tx: Transaction) -> dict[str, Turnaround]:
    counts: dict[str, list[int]] = {}
    seconds: dict[str, float] = {}
    bounds = msgspec.json.encode(TURNAROUND_BOUNDS).decode()
    for row in tx.rows("figures_of_turnaround", bounds=bounds):
        counts.setdefault(row["model"], [0] * (len(TURNAROUND_BOUNDS) + 1))[row["bucket"]] = row["n"]
        seconds[row["model"]] = seconds.get(row["model"], 0.0) + row["seconds"]
    return {model: Turnaround(_running(each), sum(each), seconds[model]) for model, each in counts.items()}


def _running(counts: Sequence[int]) -> tuple[int, ...]:
    return tuple(sum(counts[: place + 1]) for place in range(len(TURNAROUND_BOUNDS)))


def _counts(rows: Iterable[sqlite3.Row]) -> dict[str, int]:
    return {row["name"]: row["n"] for row in rows}
