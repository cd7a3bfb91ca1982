"""Both sides of a night as plain data: nightmail's database and files, and the simulator's books.

Nothing is judged here.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Ours:
    """The rows of nightmail's tables; in `requests` also those that are there as stretches, with what the
    invariants ask for."""

    runs: list[Row] = field(default_factory=list)
    batches: list[Row] = field(default_factory=list)
    requests: list[Row] = field(default_factory=list)
    attempts: list[Row] = field(default_factory=list)
    copies: list[Row] = field(default_factory=list)
    tallies: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class RemoteBatch:
    """A batch that the simulator has executed, and what it billed for it. `lost` is how many of its
    answers no client can read."""

    id: str
    status: str = "completed"
    metadata: Mapping[str, str] = field(default_factory=dict)
    input_file_id: str = ""
    faults: tuple[str, ...] = ()
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    lost: int = 0
    lost_input_tokens: int = 0
    lost_output_tokens: int = 0


@dataclass(slots=True, kw_only=True)
class Theirs:
    """The simulator's side. `billed` is how often each request of a batch was answered."""

    batches: list[RemoteBatch] = field(default_factory=list)
    calls: int = 0
    call_tokens: tuple[int, int] = (0, 0)
    billed: Mapping[str, int] = field(default_factory=dict)
    peaks: Mapping[str, int] = field(default_factory=dict)
    struck: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Told:
    """One run as its last command told it, and the files that it delivered."""

    summary: Mapping[str, Any]
    outputs: list[Row]
    failures: list[Row]


@dataclass(slots=True, kw_only=True)
class Evidence:
    """Everything that the invariants look at."""

    ours: Ours
    theirs: Theirs
    told: list[Told]
    findings: list[str]  # of `nightmail doctor`
    keys: Mapping[str, int]  # of the input's good rows -> the number of the record
    bad_records: frozenset[int]
    quota: int | None
    disturbed: bool  # a process or the simulator was ended while calls were on their way
    sent_again: int  # batches and calls that repeating the finished command has made
    secrets: Mapping[str, str]  # what must not be found -> what it is
    logs: Mapping[str, str]
    database: bytes


def read_ours(path: Path) -> Ours:
    """The tables of a home's database."""
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        tables = {
            name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]
            for name in Ours.__dataclass_fields__
        }
        stretches = [dict(row) for row in connection.execute("SELECT * FROM stretches")]
    connection.close()
    own = {(row["run_no"], row["seq"]) for row in tables["requests"]}
    tables["requests"] += [
        {
            "run_no": stretch["run_no"],
            "seq": seq,
            "state": stretch["state"],
            "batch_no": stretch["batch_no"],
            "attempts": int(stretch["state"] == "succeeded"),
        }
        for stretch in stretches
        for seq in range(stretch["first_seq"], stretch["last_seq"] + 1)
        if (stretch["run_no"], seq) not in own
    ]
    return Ours(**tables)


def theirs_of(books: Mapping[str, Any], billed: Mapping[str, int]) -> Theirs:
    """The answers of `/_simulator/books` and `/_simulator/books/requests`."""
    calls = list(books["calls"].values())
    return Theirs(
        batches=[_remote(row) for row in books["batches"]],
        calls=sum(call["calls"] for call in calls),
        call_tokens=(
            sum(call["input_tokens"] for call in calls),
            sum(call["output_tokens"] for call in calls),
        ),
        billed=billed,
        peaks=books["peak_enqueued"],
        struck=books["struck"],
    )


def _remote(row: Mapping[str, Any]) -> RemoteBatch:
    lost = row["lost"]
    return RemoteBatch(
        id=row["id"],
        status=row["status"],
        metadata=row["metadata"] or {},
        input_file_id=row["input_file_id"],
        faults=tuple(row["faults"]),
        requests=row["requests"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        lost=lost["requests"],
        lost_input_tokens=lost["input_tokens"],
        lost_output_tokens=lost["output_tokens"],
    )


def read_table(path: Path) -> list[Row]:
    """The rows of an output or failures file; none if it is not there."""
    if not path.exists():
        return []
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        rows: list[Row] = pq.read_table(path).to_pylist()
        return rows
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            return list(csv.DictReader(file))
        return [json.loads(line) for line in file.read().split("\n") if line]
