"""The SQLite store passes the suite for stores, and what is SQLite's own."""

import asyncio
import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from nightmail.core.ids import RunId
from nightmail.core.run import RunSpec
from nightmail.errors import SchemaTooNew, StoreError
from nightmail.stores import database
from nightmail.stores.queries import load, migrations
from nightmail.stores.sqlite import SqliteStore
from nightmail.testing.conformance.stores import exercise_store

NOW = datetime(2026, 11, 21, tzinfo=UTC)


async def test_it_does_what_every_store_must_do(tmp_path):
    await exercise_store(lambda: SqliteStore.open(tmp_path))


async def test_a_new_home_may_be_opened_by_many_at_the_same_moment(tmp_path):
    for number in range(10):
        home = tmp_path / str(number)
        opened = await asyncio.gather(*(SqliteStore.open(home) for _ in range(6)))
        for store in opened:
            await store.close()


async def test_a_home_of_a_newer_nightmail_is_left_alone(tmp_path):
    await (await SqliteStore.open(tmp_path)).close()
    with sqlite3.connect(tmp_path / "nightmail.db") as newer:
        newer.execute(f"PRAGMA user_version = {migrations('sqlite')[-1][0] + 1}")
    newer.close()

    with pytest.raises(SchemaTooNew, match="update nightmail"):
        await SqliteStore.open(tmp_path)


async def test_a_file_that_is_no_database_is_a_clear_error(tmp_path):
    (tmp_path / "nightmail.db").write_bytes(b"this is not a database, it is a text of some length" * 40)

    with pytest.raises(StoreError, match=r"nightmail\.db is not a database .*back-up"):
        await SqliteStore.open(tmp_path)


async def test_a_damaged_database_is_said_to_be_damaged(tmp_path):
    store = await SqliteStore.open(tmp_path)
    spec = RunSpec(task="t:T", task_name="T")
    await store.runs.record(run_id=RunId("t-0001"), identity="i", spec=spec, fingerprint={}, now=NOW)
    await store.close()
    path = tmp_path / "nightmail.db"
    # All pages but the first, which says that it is a database and of which version.
    path.write_bytes(path.read_bytes()[:4096].ljust(path.stat().st_size, b"\xff"))

    with pytest.raises(StoreError, match=r"nightmail\.db is damaged .*\.recover`.*safe as files in .*spool"):
        await SqliteStore.open(tmp_path)


async def test_a_short_lock_of_another_program_is_waited_out(tmp_path):
    store = await SqliteStore.open(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "nightmail.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        claiming = asyncio.create_task(
            store.runs.claim(run_id=None, token="x", now=NOW, until=NOW + timedelta(seconds=30))
        )
        # The thread of the store has its turn; nothing comes of it while the lock is there.
        done, _ = await asyncio.wait([claiming], timeout=0.1)
        assert not done
        other.execute("COMMIT")
    assert await claiming is None
    await store.close()


async def test_a_long_lock_of_another_program_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.05)
    store = await SqliteStore.open(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "nightmail.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"nightmail\.db is locked: another program"):
            await store.runs.claim(run_id=None, token="x", now=NOW, until=NOW + timedelta(seconds=30))
        other.execute("ROLLBACK")
    assert await store.runs.claim(run_id=None, token="x", now=NOW, until=NOW) is None
    await store.close()


async def test_many_claims_at_once_give_one_lease(tmp_path):
    stores = [await SqliteStore.open(tmp_path) for _ in range(4)]
    spec = RunSpec(task="t:T", task_name="T")
    await stores[0].runs.record(run_id=RunId("t-0001"), identity="i", spec=spec, fingerprint={}, now=NOW)

    claims = await asyncio.gather(
        *(
            store.runs.claim(run_id=None, token=f"{n}", now=NOW, until=NOW + timedelta(seconds=30))
            for n, store in enumerate(stores)
        )
    )

    assert sum(claim is not None for claim in claims) == 1
    for store in stores:
        await store.close()


async def test_stores_that_open_a_new_home_at_once_migrate_it_once(tmp_path):
    stores = await asyncio.gather(*(SqliteStore.open(tmp_path / "home") for _ in range(6)))
    for store in stores:
        assert await store.runs.list() == []
        await store.close()


def test_the_schema_refuses_what_cannot_be():
    schema = sqlite3.connect(":memory:")
    for _, sql in migrations("sqlite"):
        schema.executescript(sql)
    run = (
        "INSERT INTO runs (run_id, identity, state, spec, fingerprint, created_at{more}) "
        "VALUES ('r', 'i', '{state}', '{{}}', '{{}}', 'now'{values})"
    )
    for state, more, values in (
        ("finished", "", ""),
        ("paused", "", ""),
        ("open", ", finished_at", ", 'now'"),
        ("asleep", "", ""),
    ):
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            schema.execute(run.format(state=state, more=more, values=values))
    for columns, values in (
        ("state", "'in_batch'"),
        ("state", "'failed'"),
        ("state", "'waiting'"),
        ("state, due_at", "'ready', 'now'"),
    ):
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            schema.execute(f"INSERT INTO requests (run_no, seq, key, {columns}) VALUES (1, 1, 'k', {values})")
    schema.close()


def test_every_query_says_its_name_once():
    assert len(load("sqlite")) > 40
