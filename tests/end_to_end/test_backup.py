"""A back-up while a worker runs; then the worker is killed, the home is lost, and the copy takes over."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nightmail.simulator import process
from tests.end_to_end.command import Folder

pytestmark = pytest.mark.end_to_end

RUN = ("run", "sections.py", "--input", "rows.jsonl", "--output", "out.jsonl", "--poll-interval", "0.1",
       "--max-batch-requests", "10", "--max-active-batches", "2", "--keep-remote-files")  # fmt: skip


def batches(home: Path) -> dict[str, str]:
    """The state of each batch that is known to be at the provider, by its id there."""
    with closing(sqlite3.connect(home / "nightmail.db")) as database:
        return dict(
            database.execute(
                "SELECT provider_batch_id, state FROM batches WHERE provider_batch_id IS NOT NULL"
            ).fetchall()
        )


def test_a_home_that_is_lost_goes_on_from_its_back_up(tmp_path: Path) -> None:
    home = tmp_path / ".nightmail"
    with process.start() as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        folder.write_rows("rows.jsonl", 120)
        with folder.start(*RUN) as working:
            folder.wait_for(lambda: len(simulator.get("/_simulator/books")["batches"]) > 2)
            made = folder.nightmail("backup", "backup", "--json")
            # The worker goes on past what it had at the provider then, and would delete those files.
            copied = batches(tmp_path / "backup")
            folder.wait_for(
                lambda: all(state == "finalised" for name, state in batches(home).items() if name in copied)
            )
            working.kill()
        assert (made.code, made.result["missing"]) == (0, []), made.err
        shutil.rmtree(home)

        back = folder.nightmail("restore", "backup", "--json")
        assert back.code == 0, back.err
        (run_id,) = back.result["paused_runs"]
        looked = folder.nightmail("doctor", "--json").result
        assert {each["kind"] for each in looked["findings"]} <= {"unsure_batch", "remote_files"}
        resumed = folder.nightmail("resume", run_id, "--json")
        assert (resumed.code, resumed.result["succeeded"]) == (0, 120), resumed.err

        # What was known to the back-up is paid once; only what was sent after it is paid again.
        after = simulator.get("/_simulator/books")
        mine = batches(home)
        unknown = [each["requests"] for each in after["batches"] if each["id"] not in mine]
        assert after["totals"]["requests"] == 120 + sum(unknown)
