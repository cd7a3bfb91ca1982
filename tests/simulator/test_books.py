"""The books: what is owed to the token, how full the queues were, how often faults struck."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from nightmail.simulator.books import books, levels
from nightmail.simulator.records import Batch
from nightmail.simulator.state import State


@pytest.mark.end_to_end
def test_the_bill_is_the_sum_of_every_line_and_of_what_is_lost(broken: Any, shapes: Any) -> None:
    customer = broken(
        faults={
            "expire": {"first": 1, "share": 0.5},
            "missing_lines": {"every": 5},
            "line_error": {"every": 7},
            "half_last_line": {"every": 2},
        }
    )
    before = customer.simulator.get("/_simulator/books")
    asked = {"model": "gpt-4.1-nano"}

    batches = [
        customer.run(shapes.lines(30, f"bill-{n}-", **asked), metadata={"n": str(n)}) for n in range(2)
    ]

    after = customer.simulator.get("/_simulator/books")
    assert [batch.status for batch in batches] == ["expired", "completed"]
    entries = {one["id"]: one for one in after["batches"]}
    for number, batch in enumerate(batches):
        entry = entries[batch.id]
        assert entry["metadata"] == {"n": str(number)}
        assert entry["status"] == batch.status
        content = customer.api.files.content(batch.output_file_id).content
        kept = content[: content.rfind(b"\n") + 1]
        usages = [json.loads(one)["response"]["body"]["usage"] for one in kept.split(b"\n") if one]
        lost = entry["lost"]
        assert entry["requests"] == len(usages) + lost["requests"]
        assert entry["input_tokens"] == sum(use["prompt_tokens"] for use in usages) + lost["input_tokens"]
        assert (
            entry["output_tokens"] == sum(use["completion_tokens"] for use in usages) + lost["output_tokens"]
        )
    bill = after["bill"]["gpt-4.1-nano"]["batch"]
    ours = [entries[batch.id] for batch in batches]
    for name in ("requests", "input_tokens", "output_tokens"):
        assert bill[name] == sum(one[name] for one in ours)
    gained = {kind: count - before["struck"].get(kind, 0) for kind, count in after["struck"].items()}
    assert gained["expire"] == 1
    assert gained["half_last_line"] == 1
    assert gained["line_error"] == 2 + 4
    # Every 35th line would be both; a failed line is not missing as well.
    assert gained["missing_lines"] == 3 + 6


@pytest.mark.end_to_end
def test_calls_that_are_struck_are_counted_by_kind(own: Any) -> None:
    customer = own(faults=[{"kind": "slow", "seconds": 0, "first": 2, "route": "models"}])
    for _ in range(3):
        customer.api.models.list()
    customer.simulator.kill()
    customer.simulator.restart()

    assert customer.simulator.get("/_simulator/books")["struck"] == {"slow": 2}


def queued(number: int, tokens: int) -> Batch:
    return Batch(
        id=f"b{number}", endpoint="/v1/chat/completions", input_file_id="f", created_at=0, queue="m",
        enqueued_tokens=tokens, status="in_progress",
    )  # fmt: skip


def test_utilisation_is_of_the_time_in_which_something_was_enqueued(tmp_path: Path) -> None:
    state = State(tmp_path)
    first, second = queued(1, 600), queued(2, 400)
    for batch in (first, second):
        wanted, batch.enqueued_tokens = batch.enqueued_tokens, 0
        state.add_batch(batch)
        batch.enqueued_tokens = wanted
    state.move(first, 10.0)
    state.move(second, 20.0)
    for batch, at in ((first, 30.0), (second, 40.0)):
        batch.status, batch.enqueued_tokens = "completed", 0
        state.move(batch, at)

    queue = books(state, {"m": 2_000})["queues"]["m"]
    found = levels(state, "m")
    state.close()

    assert found == [(10.0, 600), (20.0, 1_000), (30.0, 400), (40.0, 0)]
    assert (queue["busy_seconds"], queue["token_seconds"]) == (30.0, 20_000.0)
    assert queue["utilisation"] == pytest.approx(20_000 / 30 / 2_000)
    assert queue["enqueued"] == 0


def test_levels_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightmail.simulator.ledger._MAX_LEVELS", 200)
    monkeypatch.setattr("nightmail.simulator.ledger._TRIMMED_EVERY", 10)
    state = State(tmp_path)
    for count in range(245):
        state.ledger.level("m", count + 1, float(count))
    kept = levels(state, "m")
    state.close()

    assert 200 <= len(kept) <= 210
    assert kept[-1] == (244.0, 245)


def test_books_of_an_earlier_simulator_are_gone_on_with(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "simulator.db") as old:
        old.executescript(
            "CREATE TABLE books (batch INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, model TEXT NOT NULL, "
            "requests INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, "
            "executions INTEGER NOT NULL, billed_ids BLOB NOT NULL, failed_ids BLOB NOT NULL);"
            "CREATE TABLE calls (model TEXT PRIMARY KEY, calls INTEGER NOT NULL, input_tokens INTEGER NOT "
            "NULL, output_tokens INTEGER NOT NULL); INSERT INTO calls VALUES ('m', 1, 2, 3);"
        )
    old.close()

    for _ in range(2):
        state = State(tmp_path)
        state.ledger.book_call("m", "flex", 5, 7)
        state.close()

    state = State(tmp_path)
    bill = books(state, {})["bill"]["m"]
    state.close()
    assert bill["sync"] == {"requests": 1, "input_tokens": 2, "cached_tokens": 0, "output_tokens": 3}
    assert bill["flex"]["requests"] == 2
