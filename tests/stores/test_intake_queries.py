"""What is asked of an intake for each request costs as much in a large one as in an empty one."""

from __future__ import annotations

import re
import sqlite3

import pytest

from nightmail.stores.queries import load, migrations


@pytest.mark.parametrize("name", ["known_records", "read_intake_records", "spent_segments", "list_addresses"])
def test_a_question_about_a_few_records_does_not_go_through_all(name: str) -> None:
    database = sqlite3.connect(":memory:")
    for _, sql in migrations("sqlite"):
        database.executescript(sql)
    query = load("sqlite")[name]
    given = {each: "[]" if each == "keys" else 1 for each in re.findall(r":(\w+)", query)}
    steps = [step for *_, step in database.execute(f"EXPLAIN QUERY PLAN {query}", given)]
    of_records = [step for step in steps if re.match(r"(SCAN|SEARCH) (r|intake_records)\b", step)]
    database.close()
    assert of_records
    # By the key, the cut or the segment; never by the intake alone.
    assert [step for step in of_records if not re.search(r"\b(key|cut_no|segment_no)=\?", step)] == []
