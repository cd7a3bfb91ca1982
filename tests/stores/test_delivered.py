"""What was delivered is looked up by key: with a million of them, a piece takes milliseconds, not minutes."""

import contextlib
import sqlite3

from nightmail.stores.queries import load, migrations


def test_each_key_is_one_search() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        for _, sql in migrations("sqlite"):
            database.executescript(sql)
        explained = "EXPLAIN QUERY PLAN " + load("sqlite")["list_delivered"].partition("\n")[2]
        plan = database.execute(explained, {"keys": "[]", "schedule_no": 1}).fetchall()
    assert plan[-1][-1] == "SEARCH d USING PRIMARY KEY (schedule_no=? AND key=?)"
