"""The contract of the command line, against the simulator, each as processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from nightmail.simulator import process
from nightmail.simulator.process import SimulatorProcess
from tests.end_to_end.command import Ended, Folder, ended

pytestmark = pytest.mark.end_to_end

RUN = ("run", "sections.py", "--input", "rows.jsonl", "--output", "out.parquet", "--poll-interval", "0.1")
CONTRACT = {
    "run_id", "state", "records", "succeeded", "failed", "cancelled", "open", "batches", "requests_sent",
    "input_tokens", "output_tokens", "cost_usd", "sync_cost_usd", "savings_usd", "wasted_usd", "output",
    "failures", "failures_by_reason",
}  # fmt: skip


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with process.start() as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path, simulator: SimulatorProcess) -> Folder:
    made = Folder(tmp_path, server=simulator.url)
    made.write_rows("rows.jsonl", 400)
    return made


def executions(simulator: SimulatorProcess) -> Any:
    return simulator.get("/_simulator/books")["totals"]


def adds_up(result: dict[str, Any]) -> bool:
    parts = result["succeeded"] + result["failed"] + result["cancelled"] + result["open"]
    return bool(result["records"] == parts and result.keys() >= CONTRACT)


def keys_in(path: Path) -> list[str]:
    return sorted(parquet.read_table(path)["id"].to_pylist())


def test_a_run_gives_every_record_once_and_the_same_command_sends_nothing(
    folder: Folder, simulator: SimulatorProcess
) -> None:
    first = folder.nightmail(*RUN, "--quota", "gpt-4o-mini=20000", "--json")
    assert first.code == 0, first.err
    assert adds_up(first.result)
    assert (first.result["state"], first.result["succeeded"]) == ("finished", 400)
    assert first.result["batches"] > 2
    assert keys_in(folder.path / "out.parquet") == sorted(f"p{n}" for n in range(400))

    before = executions(simulator)
    again = folder.nightmail(*RUN, "--quota", "gpt-4o-mini=20000", "--json")
    assert (again.code, again.result) == (0, first.result)
    assert "finished already (400 succeeded, 0 failed); nothing was sent, nothing was paid" in again.err
    assert executions(simulator) == before


def test_a_deleted_output_is_written_again_and_nothing_is_sent(
    folder: Folder, simulator: SimulatorProcess
) -> None:
    assert folder.nightmail(*RUN).code == 0
    output = folder.path / "out.parquet"
    whole = keys_in(output)
    output.unlink()
    before = executions(simulator)
    again = folder.nightmail(*RUN)
    assert again.code == 0, again.err
    assert "has been written again" in again.out
    assert keys_in(output) == whole
    assert executions(simulator) == before


def test_synchronous_calls_give_the_same_output_schema(folder: Folder) -> None:
    folder.write_rows("rows.jsonl", 40)
    assert folder.nightmail(*RUN).code == 0
    sync = folder.nightmail(
        "run", "sections.py", "--input", "rows.jsonl", "--output", "sync.parquet", "--mode", "sync", "--json"
    )
    assert sync.code == 0, sync.err
    assert sync.result["savings_usd"] == "0.0"
    by_batch, by_call = (parquet.read_table(folder.path / name) for name in ("out.parquet", "sync.parquet"))
    assert by_batch.schema == by_call.schema
    chosen = ["id", "section", "why"]
    assert sorted(map(str, by_batch.select(chosen).to_pylist())) == sorted(
        map(str, by_call.select(chosen).to_pylist())
    )


def test_failed_records_are_exit_code_1_and_retry_asks_only_them_again(tmp_path: Path) -> None:
    with process.start(faults={"refusal": [{"every": 20}]}) as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        folder.write_rows("rows.jsonl", 100)
        first = folder.nightmail(*RUN, "--json")
        assert first.code == 1, first.err
        assert first.result["failures_by_reason"] == {"refused": 5}
        failures = Path(first.result["failures"]).read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["reason"] for line in failures] == ["refused"] * 5

        already = folder.nightmail(*RUN)
        assert already.code == 1
        assert "95 succeeded, 5 failed" in already.out

        nothing = folder.nightmail("retry", "--reason", "check")
        assert nothing.code == 1
        assert "nothing was sent" in nothing.out

        retried = folder.nightmail("retry", "--json")
        assert retried.code == 0, retried.err
        assert adds_up(retried.result)
        assert (retried.result["succeeded"], retried.result["requests_sent"]) == (100, 105)
        assert len(keys_in(folder.path / "out.parquet")) == 100
        assert not Path(first.result["failures"]).exists()


def test_ctrl_c_detaches_and_the_same_command_comes_back(tmp_path: Path) -> None:
    with process.start(options=("--timing", "realistic")) as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        folder.write_rows("rows.jsonl", 60)
        with folder.start(*RUN) as working:
            folder.wait_until(lambda run: bool(run["active"]) and run["active"][0]["state"] == "in_progress")
            working.send_signal(signal.SIGINT)
            stopped = ended(working)
        assert stopped.code == 3, stopped.err
        assert "detached from run sections-" in stopped.out
        assert "it stays as it is (1 batch at the provider)" in stopped.out
        assert "nightmail watch sections-" in stopped.out

        with folder.start(*RUN, "--json") as working:
            while working.poll() is None:
                simulator.post("/_simulator/clock", {"advance": 60})
            back = ended(working)
        assert back.code == 0, back.err
        assert (back.result["succeeded"], back.result["requests_sent"]) == (60, 60)
        assert len(simulator.get("/_simulator/books")["batches"]) == 1


def test_resume_takes_the_daily_budget_that_is_in_the_file_now(folder: Folder) -> None:
    (folder.path / "here").mkdir()
    settings = folder.write("here/nightmail.toml", 'daily_budget = "0.000001"\n')
    paused = folder.nightmail(*RUN, "--home", "here", "--limit", "3", "--priority", "7", "--json")
    assert (paused.code, paused.result["pause_reason"]) == (3, "budget"), paused.err
    assert paused.result["requests_sent"] == 0
    with contextlib.closing(sqlite3.connect(folder.path / "here" / "nightmail.db")) as database:
        assert database.execute("SELECT json_extract(spec, '$.priority') FROM runs").fetchall() == [(7,)]

    still = folder.nightmail("resume", "--home", "here", "--json")
    assert (still.code, still.result["pause_reason"]) == (3, "budget")
    settings.write_text('daily_budget = "50"\n', encoding="utf-8")
    done = folder.nightmail("resume", "--home", "here", "--json")
    assert (done.code, done.result["succeeded"]) == (0, 3), done.err


def test_a_detached_run_is_paused_watched_cancelled_and_exported(tmp_path: Path) -> None:
    with process.start(options=("--timing", "realistic")) as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        folder.write_rows("rows.jsonl", 60)
        detached = folder.nightmail(*RUN, "--detach", "--json")
        assert detached.code == 3, detached.err
        worker = int(detached.result["pid"])
        try:
            run = folder.wait_until(lambda run: bool(run["active"]))
            paused = folder.nightmail("pause", run["run_id"])
            assert paused.code == 0
            assert f"nightmail resume {run['run_id']}" in paused.out
            watched = folder.nightmail("watch", "--json")
            assert (watched.code, watched.result["state"]) == (3, "paused")
            cancelled = folder.nightmail("cancel", "--json")
            assert cancelled.code == 0, cancelled.err
            assert cancelled.result["state"] == "cancelled"
            assert adds_up(cancelled.result)
            exported = folder.nightmail("export", "--output", "so_far.csv")
            assert exported.code == 0, exported.err
            again = folder.nightmail("cancel")
            assert "cancelled already" in again.out
        finally:
            _end(worker)


def test_a_worker_carries_out_what_was_left(tmp_path: Path, simulator: SimulatorProcess) -> None:
    folder = Folder(tmp_path, server=simulator.url)
    folder.write_rows("rows.jsonl", 30)
    folder.nightmail(*RUN, "--detach")
    done = folder.nightmail("worker", "--until-idle")
    assert done.code == 0, done.err
    finished = folder.wait_until(lambda run: run["state"] == "finished")
    assert finished["succeeded"] == 30


def test_a_sample_shows_what_was_sent_and_what_came_back(folder: Folder) -> None:
    sampled = folder.nightmail("sample", "sections.py", "--input", "rows.jsonl", "-n", "2")
    assert sampled.code == 0, sampled.err
    assert "    user: package 0 for games" in sampled.out
    assert ' -> {"section":"games"' in sampled.out
    assert "2 succeeded, 0 failed" in sampled.out
    data = folder.nightmail("sample", "sections.py", "--input", "rows.jsonl", "-n", "2", "--json").result
    assert [each["key"] for each in data["sample"]] == ["p0", "p1"]
    assert all(each["request"]["body"]["model"] == "gpt-4o-mini" for each in data["sample"])


def test_a_sample_whose_key_is_refused_leaves_nothing_for_a_worker_to_pay_for(tmp_path: Path) -> None:
    with process.start(faults={"bad_key": {"first": 1}}) as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        folder.write_rows("rows.jsonl", 3)
        refused = folder.nightmail("sample", "sections.py", "--input", "rows.jsonl", "-n", "2")
        assert refused.code == 2, refused.err
        assert folder.status()["state"] == "cancelled"
        assert folder.nightmail("worker", "--until-idle").code == 0
        assert executions(simulator)["requests"] == 0
        assert simulator.get("/_simulator/books")["calls"] == {}


def test_a_plan_makes_no_call_and_needs_no_key(tmp_path: Path) -> None:
    folder = Folder(tmp_path, key=None)
    folder.write_rows("rows.jsonl", 400)
    plan = folder.nightmail(
        "plan", "sections.py", "--input", "rows.jsonl", "--quota", "gpt-4o-mini=20000", "--json"
    )
    assert plan.code == 0, plan.err
    assert plan.result["records"] == 400
    assert plan.result["waves"] > 1
    assert plan.result["tokens"]["min"] <= plan.result["tokens"]["mean"] <= plan.result["tokens"]["max"]


def test_on_a_terminal_the_run_is_redrawn_in_place(folder: Folder) -> None:
    ours, theirs = pty.openpty()
    with folder.start(*RUN, stderr=theirs) as working:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        assert ended(working).code == 0
    os.close(ours)
    assert b"batches" in shown
    assert b"\x1b[" in shown
    assert b"at the provider" not in shown


def _task_with_a_wrong_column(folder: Folder) -> None:
    folder.write("sections.py", (folder.path / "sections.py").read_text().replace("'short'", "'shirt'"))


def _task_with_a_syntax_error(folder: Folder) -> None:
    folder.write("sections.py", "class Sections(:\n")


def _no_input(folder: Folder) -> None:
    (folder.path / "rows.jsonl").unlink()


def _empty_input(folder: Folder) -> None:
    folder.write("rows.jsonl", "")


def _broken_row(folder: Folder) -> None:
    with (folder.path / "rows.jsonl").open("a") as file:
        file.write('{"id": "p400", "short\n')


def _duplicate_key(folder: Folder) -> None:
    with (folder.path / "rows.jsonl").open("a") as file:
        file.write('{"id": "p7", "short": "again", "body": ""}\n')


def _no_key(folder: Folder) -> None:
    folder.key, folder.server = None, None


def _nobody_there(folder: Folder) -> None:
    folder.server = "http://127.0.0.1:9/v1"


def _folder_instead_of_output(folder: Folder) -> None:
    (folder.path / "out.parquet").mkdir()


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (_no_input, 2, "rows.jsonl does not exist"),
        (_empty_input, 2, "rows.jsonl is empty"),
        (_task_with_a_wrong_column, 2, "KeyError: 'shirt' (sections.py:"),
        (_task_with_a_syntax_error, 2, "sections.py:1: invalid syntax"),
        (_broken_row, 2, "rows.jsonl:401: not JSON"),
        (_duplicate_key, 2, "'p7' at "),
        (_no_key, 2, "OPENAI_API_KEY"),
        (_nobody_there, 4, "cannot use the server: no connection"),
        (_folder_instead_of_output, 2, "out.parquet"),
    ],
    ids=lambda each: each.__name__.strip("_") if callable(each) else None,
)
def test_what_is_wrong_is_one_message_one_code_and_nothing_half_written(
    spoil: Any, code: int, said: str, folder: Folder, simulator: SimulatorProcess
) -> None:
    spoil(folder)
    before = executions(simulator)
    tried = folder.nightmail(*RUN, "--json")
    assert tried.code == code, tried.err
    assert said in tried.result["error"]
    assert tried.result["exit_code"] == code
    assert _complaints(tried) == [f"error: {tried.result['error']}"]
    assert not [path for path in folder.path.glob("*out*") if path.is_file()]
    assert executions(simulator) == before


def test_a_refused_key_says_what_to_set(tmp_path: Path) -> None:
    with process.start(options=("--api-key", "sk-right")) as simulator:
        folder = Folder(tmp_path, server=simulator.url, key="sk-wrong")
        folder.write_rows("rows.jsonl", 5)
        tried = folder.nightmail(*RUN)
        assert tried.code == 2
        assert "OPENAI_API_KEY" in tried.err
        assert "Go on with it: nightmail resume sections-" in tried.err
        assert "sk-wrong" not in tried.err
        folder.key = "sk-right"
        assert folder.nightmail(*RUN).code == 0


def test_a_record_that_no_model_takes_fails_in_its_own_words(folder: Folder) -> None:
    with (folder.path / "rows.jsonl").open("a") as file:
        file.write(json.dumps({"id": "big", "short": "x", "body": "word " * 150_000}) + "\n")
    ran = folder.nightmail(*RUN)
    assert ran.code == 1, ran.err
    assert "400 succeeded, 1 failed (oversize 1)" in ran.out
    assert "    big: oversize: record 'big' needs 150," in ran.out


def test_a_detached_worker_that_cannot_start_is_told_at_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path, key=None)
    folder.write_rows("rows.jsonl", 5)
    tried = folder.nightmail(*RUN, "--detach", "--json")
    assert tried.code == 2, tried.err
    assert "OPENAI_API_KEY" in tried.result["error"]


def test_a_changed_task_is_not_mixed_in(folder: Folder) -> None:
    folder.write_rows("rows.jsonl", 20)
    assert folder.nightmail(*RUN).code == 0
    folder.write("sections.py", (folder.path / "sections.py").read_text().replace("You file", "You sort"))
    changed = folder.nightmail(*RUN)
    assert changed.code == 2
    assert "--new" in changed.err
    assert "--as-started" in changed.err
    assert folder.nightmail(*RUN, "--as-started").code == 0
    anew = folder.nightmail(*RUN, "--new", "--json")
    assert (anew.code, anew.result["requests_sent"]) == (0, 20)


def test_the_demo_runs_then_says_that_it_is_done_then_asks_the_failed_ones_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path, key=None)
    first = folder.nightmail("demo", "--json")
    assert first.code == 0, first.err
    assert adds_up(first.result)
    assert first.result["records"] > 2_000
    assert first.result["batches"] > 3
    assert first.result["failed"] == sum(first.result["failures_by_reason"].values()) > 0
    assert 0.2 < first.result["accuracy"] < 1
    assert "simulated" in first.err

    again = folder.nightmail("demo")
    assert again.code == 0
    assert again.out.startswith("demo: finished already (")
    assert "simulator" not in again.err

    retried = folder.nightmail("demo", "--retry", "--json")
    assert retried.code == 0, retried.err
    assert retried.result["failed"] < first.result["failed"]


def _complaints(tried: Ended) -> list[str]:
    """Standard error without the lines of progress."""
    return [line for line in tried.err.splitlines() if not line.startswith("sections-")]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:
        # Linux says so when the last writer has closed the other side.
        return b""


def _end(worker: int) -> None:
    try:
        os.kill(worker, signal.SIGTERM)
    except ProcessLookupError:
        return
