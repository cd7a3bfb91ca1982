"""A folder is watched by a process that is killed again and again: each record of each file is asked once."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from nightmail.simulator import process
from tests.end_to_end.command import Folder

pytestmark = pytest.mark.end_to_end

# What `nightmail serve` does with schedules, in a hurry: the loop that starts runs beside a worker.
SERVICE = """
import asyncio
from datetime import timedelta
from nightmail.client import Client
from nightmail.worker import timetable, watch

timetable.LOOK, watch.SETTLE = 0.05, timedelta(seconds=0.2)


async def main():
    async with Client() as client:
        await asyncio.gather(client.timetable.run(asyncio.Event()), client.work_all())


asyncio.run(main())
"""


def test_no_file_is_taken_twice_whatever_is_killed(tmp_path: Path) -> None:
    with process.start() as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        for name in ("inbox", "out"):
            (tmp_path / name).mkdir()
        added = folder.nightmail(
            "schedule", "add", "inbox", "sections.py", "--watch", "inbox", "--output", "out/{date}.jsonl",
            "--poll-interval", "0.1",
        )  # fmt: skip
        assert added.code == 0, added.err

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, "-c", SERVICE],
                cwd=tmp_path,
                env=folder.environment,
                stderr=subprocess.DEVNULL,
            )

        def runs() -> int:
            with sqlite3.connect(tmp_path / ".nightmail" / "nightmail.db") as home:
                (count,) = home.execute("SELECT count(*) FROM runs").fetchone()
            home.close()
            return int(count)

        asked = 0
        for number in range(2):
            rows = [{"id": f"{number}-{n}", "short": "a game", "body": f"to play {n}"} for n in range(5)]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / "inbox" / f"{number}.jsonl").write_text(text)
            asked += len(rows)
            with start() as working:
                # Killed while the file's run is under way; the next one ends it before it begins another.
                folder.wait_for(lambda wanted=number + 1: runs() == wanted)
                working.kill()
        with start() as working:
            folder.wait_for(lambda: len(delivered(tmp_path)) == asked)
            working.kill()
        ids = sorted(row["id"] for row in delivered(tmp_path))
        assert ids == sorted(f"{number}-{n}" for number in range(2) for n in range(5))
        assert simulator.get("/_simulator/books/requests?above=1") == {}
        assert simulator.get("/_simulator/books")["totals"]["requests"] == asked


def delivered(path: Path) -> list[dict[str, str]]:
    return [
        json.loads(line)
        for output in (path / "out").glob("*.jsonl")
        if not output.name.startswith(".")
        for line in output.read_text().splitlines()
    ]
