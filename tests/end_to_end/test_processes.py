"""A whole run whose shards are done in other processes gives what it gives in one."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

import nightmail
from nightmail import processes
from nightmail.simulator import process
from nightmail.worker import pool
from tests.end_to_end.command import Folder

pytestmark = pytest.mark.end_to_end


def run(folder: Folder, name: str) -> Any:
    started = nightmail.run(
        str(folder.path / "sections.py"),
        folder.path / "rows.jsonl",
        folder.path / f"{name}.parquet",
        home=folder.path / name,
        base_url=folder.server,
        api_key="none",
        max_batch_requests=150,
        poll_interval=0.1,
    )
    started.wait()
    summary = started.summary
    started.close()
    table = parquet.read_table(folder.path / f"{name}.parquet")
    return summary, table.drop_columns(["_model"])


def test_in_processes_of_which_each_is_killed_once_and_in_none_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: set[int] = set()
    carry_out = pool.ShardProcess.carry_out

    def killed_after_its_first(self: pool.ShardProcess, order: bytes) -> bytes:
        answer = carry_out(self, order)
        pids.add(self.pid)
        if len(pids) <= 2:
            # The next order finds it dead.
            os.kill(self.pid, signal.SIGKILL)
        return answer

    with process.start() as server:
        folder = Folder(tmp_path, server=server.url)
        folder.write_rows("rows.jsonl", 400)
        here = run(folder, "here")
        monkeypatch.setattr(pool, "WORTH_ONE", 0)
        monkeypatch.setattr(pool, "WORTH_ALL", 0)
        monkeypatch.setattr(pool.ShardProcess, "carry_out", killed_after_its_first)
        elsewhere = run(folder, "elsewhere")

    assert elsewhere[1].equals(here[1])
    for figure in ("records", "succeeded", "failed", "batches", "input_tokens", "output_tokens", "cost_usd"):
        assert elsewhere[0][figure] == here[0][figure]
    assert len(pids) >= 3
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_run_that_builds_nothing_ends_the_process_that_was_started_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with process.start() as server:
        folder = Folder(tmp_path, server=server.url)
        folder.write_rows("rows.jsonl", 20)
        run(folder, "here")
        (tmp_path / "here.parquet").unlink()
        processes.start_ahead(processes.WORTH_ONE + 1)
        (ahead,) = processes._ahead

        run(folder, "here")

    with pytest.raises(ProcessLookupError):
        os.kill(ahead.pid, 0)
    assert (tmp_path / "here.parquet").exists()
