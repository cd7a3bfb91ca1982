"""`nightmail doctor --fix` against the simulator: what its books say is what ours say, whatever was found."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from nightmail.core.pricing import format_usd
from nightmail.simulator import process
from nightmail.simulator.process import SimulatorProcess
from tests.end_to_end.command import PATIENCE, Folder

pytestmark = pytest.mark.end_to_end

RUN = ("run", "sections.py", "--input", "rows.jsonl", "--output", "out.parquet", "--poll-interval", "0.1")
RECORDS = 40


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    with process.start(options=["--processes", "1"]) as started:
        yield started


@pytest.fixture
def api(simulator: SimulatorProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=simulator.url, api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path, simulator: SimulatorProcess) -> Folder:
    made = Folder(tmp_path, server=simulator.url)
    made.write_rows("rows.jsonl", RECORDS)
    return made


def break_it(simulator: SimulatorProcess, *faults: dict[str, Any]) -> None:
    simulator.post("/_simulator/faults", {"faults": list(faults)})


def create_again(api: openai.OpenAI) -> str:
    """What a gateway does that repeats a create call: the same file, the same names, a second batch."""
    (first,) = api.batches.list().data
    again = api.batches.create(
        input_file_id=first.input_file_id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata=first.metadata,
    )
    return again.id


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def bill(simulator: SimulatorProcess) -> str:
    """What the simulator's books cost at the batch prices of gpt-4o-mini."""
    totals = simulator.get("/_simulator/books")["totals"]
    return format_usd(totals["input_tokens"] * 75_000 + totals["output_tokens"] * 300_000)


def files_left(simulator: SimulatorProcess) -> int:
    return int(simulator.get("/_simulator/state")["files"])


def test_the_answers_of_a_batch_that_nobody_knew_of_are_used_and_nothing_is_paid_again(
    folder: Folder, simulator: SimulatorProcess, api: openai.OpenAI
) -> None:
    break_it(simulator, {"kind": "stuck", "batch": 1})
    running = folder.start(*RUN)
    until(lambda: [batch.status for batch in api.batches.list().data] == ["in_progress"])
    orphan = create_again(api)
    until(lambda: api.batches.retrieve(orphan).status == "completed")

    held = folder.nightmail("doctor", "--fix", "--json")
    assert (held.code, held.result["left"]) == (1, 1)
    assert "is being worked on; stop that worker" in held.result["findings"][0]["advice"]
    running.send_signal(signal.SIGKILL)
    running.communicate()

    told = folder.nightmail("doctor", "--json")
    assert (told.code, [each["kind"] for each in told.result["findings"]]) == (
        1,
        ["dead_lease", "unknown_batch"],
    )
    mended = folder.nightmail("doctor", "--fix", "--json")
    assert (mended.code, mended.result["left"]) == (0, 0), mended.out
    finished = folder.nightmail(*RUN, "--json")

    assert (finished.code, finished.result["succeeded"]) == (0, RECORDS), finished.err
    assert simulator.get("/_simulator/books")["totals"]["requests"] == RECORDS
    assert simulator.get("/_simulator/books/requests?above=1") == {}
    assert (finished.result["cost_usd"], finished.result["wasted_usd"]) == (bill(simulator), "0.0")
    assert files_left(simulator) == 0


def test_a_running_batch_of_a_finished_run_is_ended_and_booked_although_the_doctor_is_killed(
    folder: Folder, simulator: SimulatorProcess, api: openai.OpenAI
) -> None:
    break_it(simulator, {"kind": "server_error", "route": "delete", "status": 400})
    first = folder.nightmail(*RUN)
    assert first.code == 0, first.err
    break_it(
        simulator,
        {"kind": "stuck", "share": 0.5},
        {"kind": "slow", "route": "delete", "seconds": 600, "first": 1},
    )
    orphan = create_again(api)
    until(lambda: api.batches.retrieve(orphan).status == "in_progress")
    told = folder.nightmail("doctor", "--json")
    assert [each["kind"] for each in told.result["findings"]] == ["unknown_batch", "remote_files"]
    assert api.batches.retrieve(orphan).status == "in_progress", "without --fix nothing is changed"

    fixing = folder.start("doctor", "--fix")
    until(lambda: simulator.get("/_simulator/books")["struck"].get("slow"))
    fixing.send_signal(signal.SIGKILL)
    fixing.communicate()
    mended = folder.nightmail("doctor", "--fix", "--json")

    assert (mended.code, mended.result["left"]) == (0, 0), mended.out
    assert api.batches.retrieve(orphan).status == "cancelled"
    assert files_left(simulator) == 0
    status = folder.status()
    assert status["cost_usd"] == bill(simulator)
    assert status["wasted_usd"] != "0.0"
    again = folder.nightmail("doctor", "--json")
    assert (again.code, again.result["findings"]) == (0, [])
    unasked = folder.nightmail("doctor", "--json", "--base-url", "http://127.0.0.1:9/v1")
    assert (unasked.code, unasked.result["findings"], unasked.result["asked"]) == (4, [], False)
