"""`nightmail status` on a home with millions of requests: in this process, as a command, and the pages of
the dashboard.

A run of a few records is done against the simulator; its requests are then multiplied in the database, with
its batches (50,000 requests each) and its counts. What the command takes longer is the interpreter and its
imports: `nightmail --version` is told for comparison.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

import dataset  # noqa: E402 - found by the line above
from sections import Sections  # noqa: E402

import nightmail  # noqa: E402
from nightmail.stores.stretches import Sizes  # noqa: E402

RECORDS = 100
PER_BATCH = 50_000
PER_STRETCH = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000, help="of requests: 1 GB of disk")
    parser.add_argument("--folder", type=Path, help="where the home is put (a temporary folder)")
    parser.add_argument("--times", type=int, default=9, help="the median of so many (9)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightmail-status-", dir=given.folder) as folder:
        home = Path(folder) / "home"
        _small_run(Path(folder), home)
        began = time.perf_counter()
        _multiply(home / "nightmail.db", given.rows)
        size = (home / "nightmail.db").stat().st_size
        print(f"{given.rows:,} requests, {size / 1e6:,.0f} MB, made in {time.perf_counter() - began:.0f} s")
        inside = asyncio.run(_inside(home, given.times))
        print(f"in a process that has the home open   {inside * 1e3:>7.1f} ms")
        for path, took in asyncio.run(_pages(home, given.times)).items():
            print(f"{'the page ' + path:<38}{took * 1e3:>7.1f} ms")
        command = [sys.executable, "-m", "nightmail"]
        for arguments in (["status", "--home", str(home)], ["--version"], ["--help"]):
            took = _command([*command, *arguments], given.times)
            print(f"{'nightmail ' + arguments[0]:<38}{took * 1e3:>7.1f} ms")
        code = [sys.executable, "-c", "import nightmail"]
        took = _command(code, given.times) - _command([sys.executable, "-c", "pass"], given.times)
        print(f"{'import nightmail, without the bare':<38}{took * 1e3:>7.1f} ms")


def _small_run(folder: Path, home: Path) -> None:
    from nightmail.simulator.process import start

    dataset.write(folder / "input.jsonl", RECORDS)
    with start() as server:
        run = nightmail.run(
            Sections, folder / "input.jsonl", folder / "output.jsonl", home=home, base_url=server.url,
            api_key="none", poll_interval=0.1, key="id",
        )  # fmt: skip
        run.wait()
        run.close()


def _multiply(path: Path, rows: int) -> None:
    """Copy the first batch, and fill all of them with requests, until there are so many of these."""
    database = sqlite3.connect(path)
    batches = (rows - 1) // PER_BATCH + 1
    with database:
        database.execute("UPDATE batches SET requests = ?, succeeded = ?", (PER_BATCH, PER_BATCH))
        each = _columns(database, "batches", {
            "batch_no": "n", "batch_id": "batch_id || n",
                "provider_batch_id": "provider_batch_id || n", "first_seq": f"(n - 1) * {PER_BATCH} + 1",
            "last_seq": f"n * {PER_BATCH}",
        })  # fmt: skip
        _copy(database, "batches", each, "batch_no = 1", 2, batches)
        database.execute("UPDATE runs SET record_count = ?, planned_seq = ?", (rows, rows))
        database.execute("UPDATE tallies SET n = ? WHERE kind = 'state' AND name = 'succeeded'", (rows,))
        _stretch(database, rows)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def _stretch(database: sqlite3.Connection, rows: int) -> None:
    """As many as there are in pieces of a source, all succeeded."""
    group_no, file_no, packed = database.execute(
        "SELECT group_no, file_no, sizes FROM stretches JOIN stretch_columns USING (stretch_no) LIMIT 1"
    ).fetchone()
    length = msgspec.msgpack.decode(packed, type=Sizes).lengths[0]
    database.execute("DELETE FROM stretch_columns")
    database.execute("DELETE FROM stretches")
    for first in range(1, rows + 1, PER_STRETCH):
        count = min(PER_STRETCH, rows + 1 - first)
        keys = msgspec.msgpack.encode([f"package-{seq}" for seq in range(first, first + count)])
        sizes = msgspec.msgpack.encode(Sizes([200] * count, [length] * count))
        made = database.execute(
            "INSERT INTO stretches (run_no, first_seq, last_seq, state, group_no, batch_no, file_no, offset, "
            "bytes, rest) VALUES (1, ?, ?, 'succeeded', ?, ?, ?, 0, ?, ?)",
            (first, first + count - 1, group_no, 1 + first // PER_BATCH, file_no, count * length, count),
        )
        database.execute("INSERT INTO stretch_columns VALUES (?, ?, ?)", (made.lastrowid, keys, sizes))


def _columns(database: sqlite3.Connection, table: str, given: dict[str, str]) -> dict[str, str]:
    """Column -> what a copied row has in it."""
    names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    return {name: given.get(name, name) for name in names}


def _copy(
    database: sqlite3.Connection, table: str, columns: dict[str, str], which: str, first: int, last: int
) -> None:
    database.execute(
        f"WITH RECURSIVE numbers (n) AS "
        f"(SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last}) "
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} "
        f"FROM (SELECT * FROM {table} WHERE {which} LIMIT 1) CROSS JOIN numbers"
    )


async def _inside(home: Path, times: int) -> float:
    async with nightmail.Client(home=home) as client:
        took = []
        for _ in range(times):
            began = time.perf_counter()
            await client.status()
            took.append(time.perf_counter() - began)
    return statistics.median(took)


async def _pages(home: Path, times: int) -> dict[str, float]:
    """What the server takes for each page that tells of the run."""
    import httpx2

    from nightmail.web.app import app

    found = {}
    async with nightmail.Client(home=home, base_url="http://127.0.0.1:9", api_key="none") as client:
        made = app(client)
        transport = httpx2.ASGITransport(app=made)
        async with (
            made.router.lifespan_context(made),
            httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8686") as http,
        ):
            run_id = (await client.status()).run_id
            for name, path in (("/runs/RUN", f"/runs/{run_id}"), ("/", "/"), ("/runs", "/runs")):
                took = []
                for _ in range(times):
                    began = time.perf_counter()
                    (await http.get(path, headers={"Accept": "text/html"})).raise_for_status()
                    took.append(time.perf_counter() - began)
                found[name] = statistics.median(took)
    return found


def _command(command: list[str], times: int) -> float:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[:2])}

    def once() -> None:
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)

    return _median(once, times)


def _median(work: Callable[[], None], times: int) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


if __name__ == "__main__":
    main()
