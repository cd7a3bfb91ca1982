"""Ctrl-C and SIGTERM, in real processes: each detaches with exit code 3, and the same command goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from nightmail.simulator import process
from tests.end_to_end.command import TASK, Folder, ended

pytestmark = pytest.mark.end_to_end

RUN = ("run", "sections.py", "--input", "rows.jsonl", "--output", "out.parquet", "--poll-interval", "0.1")

# Sends a signal to its own process while the first piece of the input is read, the first time.
STRUCK = """
import os
import signal
from pathlib import Path


class Struck(Sections):
    def build(self, record):
        if record["id"] == "p100" and not Path("struck").exists():
            Path("struck").touch()
            os.kill(os.getpid(), signal.SIGTERM)
        return super().build(record)
"""


def test_while_the_input_is_read(tmp_path: Path) -> None:
    with process.start() as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        folder.write("struck.py", TASK + STRUCK)
        folder.write_rows("rows.jsonl", 30_000)
        run = (RUN[0], "struck.py:Struck", *RUN[2:])
        stopped = folder.nightmail(*run, "--json")
        assert stopped.code == 3, stopped.err
        assert stopped.result["state"] == "open"
        assert 0 < stopped.result["records"] < 30_000
        assert "detached from run struck-" in stopped.err
        assert simulator.get("/_simulator/books")["batches"] == []

        back = folder.nightmail(*run, "--json")
        assert (back.code, back.result["succeeded"], back.result["requests_sent"]) == (0, 30_000, 30_000)


def test_while_a_file_is_uploaded_and_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    slow = {"slow": [{"route": "upload", "seconds": 120, "first": 1}]}
    with process.start(faults=slow) as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        folder.write_rows("rows.jsonl", 40)
        with folder.start(*RUN) as working:
            folder.wait_until(lambda run: bool(run["active"]) and run["active"][0]["state"] == "submitting")
            working.send_signal(signal.SIGINT)
            assert working.stderr is not None
            while "Ctrl-C again leaves at once" not in (line := working.stderr.readline()):
                assert line, "it ended before it said so"
            working.send_signal(signal.SIGINT)
            left = ended(working)
        assert left.code == 3
        assert "detached" not in left.out, "the second does not wait for the upload"

        back = folder.nightmail(*RUN, "--json")
        assert (back.code, back.result["succeeded"]) == (0, 40), back.err
        assert simulator.get("/_simulator/books")["totals"]["requests"] == 40


def test_workers_and_watchers(tmp_path: Path) -> None:
    with process.start(options=("--timing", "realistic")) as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        folder.write_rows("rows.jsonl", 40)
        detached = folder.nightmail(*RUN, "--detach", "--json")
        assert detached.code == 3, detached.err
        with folder.start("watch") as watching:
            assert watching.stderr is not None
            assert watching.stderr.readline().startswith("sections-")
            watching.send_signal(signal.SIGTERM)
            assert ended(watching).code == 3
        log = Path(detached.result["log"])
        folder.wait_until(lambda run: bool(run["active"]) and run["active"][0]["state"] == "in_progress")
        os.kill(detached.result["pid"], signal.SIGTERM)
        folder.wait_for(lambda: "detached from run" in log.read_text())

        with folder.start("worker") as working:
            assert working.stderr is not None
            assert working.stderr.readline().startswith("working on the runs")
            working.send_signal(signal.SIGTERM)
            left = ended(working)
        assert left.code == 3, left.err

        with folder.start(*RUN, "--json") as working:
            while working.poll() is None:
                simulator.post("/_simulator/clock", {"advance": 60})
            back = ended(working)
        assert (back.code, back.result["succeeded"], back.result["requests_sent"]) == (0, 40, 40), back.err
        assert len(simulator.get("/_simulator/books")["batches"]) == 1
