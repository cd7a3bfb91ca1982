"""What is asked all the time costs as much in a home of years as in an empty one."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import pytest

from nightmail.stores.queries import load, migrations


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:")
    for _, sql in migrations("sqlite"):
        made.executescript(sql)
    yield made
    made.close()


def steps(database: sqlite3.Connection, name: str) -> list[str]:
    query = load("sqlite")[name]
    given = {each: "[]" if each == "keys" else 1 for each in re.findall(r":(\w+)", query)}
    return [step for *_, step in database.execute(f"EXPLAIN QUERY PLAN {query}", given)]


@pytest.mark.parametrize("name", ["known_records", "read_intake_records", "spent_segments", "list_addresses"])
def test_a_question_about_a_few_records_does_not_go_through_an_intake(
    database: sqlite3.Connection, name: str
) -> None:
    of_records = [
        step for step in steps(database, name) if re.match(r"(SCAN|SEARCH) (r|intake_records)\b", step)
    ]
    assert of_records
    # By the key, the cut or the segment; never by the intake alone.
    assert [step for step in of_records if not re.search(r"\b(key|cut_no|segment_no)=\?", step)] == []


def test_copies_are_looked_through_in_their_order_and_their_firsts_are_looked_up(
    database: sqlite3.Connection,
) -> None:
    assert steps(database, "list_due_copies") == [
        "SEARCH c USING PRIMARY KEY (run_no=? AND seq>?)",
        "SEARCH q USING PRIMARY KEY (run_no=? AND seq=?)",
        "SEARCH f USING PRIMARY KEY (run_no=? AND seq=?) LEFT-JOIN",
        "SEARCH s USING INDEX stretches_by_run (run_no=? AND first_seq=?) LEFT-JOIN",
        "CORRELATED SCALAR SUBQUERY 1",
        "SEARCH b USING COVERING INDEX stretches_by_run (run_no=? AND first_seq<?)",
    ]


def test_what_is_left_to_do_is_found_among_any_number_of_runs(database: sqlite3.Connection) -> None:
    assert steps(database, "list_unfinished_runs") == ["SCAN runs USING INDEX runs_unfinished"]


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("page_of_unfinished_runs", "runs_unfinished"),
        ("list_trips", "batches_by_end"),
        ("list_costs", "batches_by_submission"),
    ],
)
def test_what_was_lately_is_found_among_any_number_of_batches(
    database: sqlite3.Connection, name: str, index: str
) -> None:
    assert any(f"INDEX {index}" in step for step in steps(database, name)), steps(database, name)


def test_what_came_and_went_lately_is_found_by_its_times(database: sqlite3.Connection) -> None:
    said = " ".join(steps(database, "list_slots"))
    assert "batches_by_submission" in said
    assert "batches_by_settlement" in said
