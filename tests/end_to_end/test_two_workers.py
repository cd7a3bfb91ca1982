"""Several processes on one home: one drives a run at a time, and one that overslept does no harm."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightmail.simulator import process
from nightmail.simulator.process import SimulatorProcess
from tests.end_to_end.command import Folder, ended

pytestmark = pytest.mark.end_to_end

SHORT_LEASE = Path(__file__).with_name("short_lease.py")
RUN = ("run", "sections.py", "--input", "rows.jsonl", "--output", "out.jsonl", "--poll-interval", "0.1")


@contextlib.contextmanager
def started(folder: Folder, stop_after: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`nightmail` with a lease of seconds; killed if it still runs at the end."""
    with subprocess.Popen(
        [sys.executable, str(SHORT_LEASE), stop_after, *arguments],
        cwd=folder.path,
        env=folder.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def rows(folder: Folder, name: str) -> list[str]:
    return sorted(json.loads(line)["id"] for line in (folder.path / name).read_text().splitlines())


def books(simulator: SimulatorProcess) -> Any:
    return simulator.get("/_simulator/books")


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="no /proc shows whether a process is stopped"
)
@pytest.mark.parametrize(
    ("call", "mode"), [("upload", "batch"), ("create", "batch"), ("fetch", "batch"), ("call", "sync")]
)
def test_a_worker_that_is_stopped_past_its_lease_does_no_harm_when_it_wakes(
    tmp_path: Path, call: str, mode: str
) -> None:
    with process.start() as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        folder.write_rows("rows.jsonl", 60)
        with started(folder, call, *RUN, "--mode", mode, "--json") as sleeper:
            folder.wait_for(lambda: is_stopped(sleeper.pid))
            with started(folder, "-", *RUN, "--mode", mode, "--json") as second:
                took_over = ended(second)
            assert (took_over.code, took_over.result["succeeded"]) == (0, 60), took_over.err
            before = books(simulator)

            sleeper.send_signal(signal.SIGCONT)
            woken = ended(sleeper)
            assert (woken.code, woken.result["succeeded"]) == (0, 60), woken.err
        assert books(simulator)["totals"] == before["totals"], "the woken worker sends nothing"
        assert rows(folder, "out.jsonl") == sorted(f"p{n}" for n in range(60))
        if mode == "batch":
            assert len(books(simulator)["batches"]) == 1
            assert books(simulator)["totals"]["requests"] == 60


def test_the_same_command_twice_at_once_is_one_run(tmp_path: Path) -> None:
    with process.start(options=("--timing", "realistic")) as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        folder.write_rows("rows.jsonl", 60)
        with folder.start(*RUN, "--json") as first:
            folder.wait_until(lambda run: bool(run["active"]) and run["active"][0]["state"] == "in_progress")
            with folder.start(*RUN, "--json") as second:
                assert second.stderr is not None
                while f"is worked on by process {first.pid} on " not in (line := second.stderr.readline()):
                    assert line, "it ended before it said so"
                while first.poll() is None or second.poll() is None:
                    simulator.post("/_simulator/clock", {"advance": 60})
                results = [ended(each) for each in (first, second)]
        assert [each.code for each in results] == [0, 0]
        assert results[0].result == results[1].result
        assert len(books(simulator)["batches"]) == 1
        assert rows(folder, "out.jsonl") == sorted(f"p{n}" for n in range(60))


def test_two_workers_share_the_runs_of_a_home(tmp_path: Path) -> None:
    with process.start() as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        names = [f"part{number}" for number in range(4)]
        for name in names:
            folder.write_rows(f"{name}.jsonl", 50)
        write_down(folder, names)
        workers = [folder.start("worker", "--until-idle") for _ in range(2)]
        for worker in workers:
            with worker:
                assert ended(worker).code == 0
        assert len(books(simulator)["batches"]) == 4
        assert books(simulator)["totals"]["requests"] == 200
        for name in names:
            assert rows(folder, f"{name}.out.jsonl") == sorted(f"p{n}" for n in range(50))


def test_one_worker_carries_out_a_run_while_another_waits_for_its_batch(tmp_path: Path) -> None:
    with process.start(faults={"stuck": {"first": 1}}) as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        names = ["slow", "quick"]
        for name in names:
            folder.write_rows(f"{name}.jsonl", 20)
        write_down(folder, names)
        with folder.start("worker") as worker:
            folder.wait_for(lambda: [path.name for path in folder.path.glob("*.out.jsonl")] != [])
            worker.terminate()
            assert ended(worker).code == 3
        known = simulator.get("/v1/batches")["data"]
        assert sorted(batch["status"] for batch in known) == ["completed", "in_progress"]


def write_down(folder: Folder, names: list[str]) -> None:
    """One run for each name, on which nobody works yet."""
    folder.write("begin.py", BEGIN.format(names=names))
    subprocess.run(
        [sys.executable, "begin.py"], cwd=folder.path, env=folder.environment, check=True, timeout=60
    )


BEGIN = """
import asyncio

from nightmail import Client


async def begin():
    async with Client() as client:
        for name in {names}:
            await client.start("sections.py", f"{{name}}.jsonl", f"{{name}}.out.jsonl", poll_interval=0.1)


asyncio.run(begin())
"""
