"""The same commands, in this process, against a home and against a real service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nightmail.cli.main import main
from nightmail.remote import calls
from nightmail.simulator import process
from tests.end_to_end.command import Ended
from tests.end_to_end.test_server_option import FAST, GONE, RUN, Desk, service

pytestmark = pytest.mark.end_to_end
Call = Callable[..., Ended]


@pytest.fixture(scope="module")
def simulator() -> Iterator[process.SimulatorProcess]:
    with process.start() as running:
        yield running


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """A command as somebody in a folder gives it; its environment is the folder's."""
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "NIGHTMAIL_HOME", "NIGHTMAIL_SERVER"):
        monkeypatch.delenv(name, raising=False)

    def called(folder: Desk, *arguments: str) -> Ended:
        monkeypatch.chdir(folder.path)
        with monkeypatch.context() as said:
            for name, value in folder.environment.items():
                said.setenv(name, value)
            code = main(arguments)
        shown = capsys.readouterr()
        return Ended(code, shown.out, shown.err)

    return called


def leveled(value: Any, folder: Path, run_ids: dict[str, str]) -> Any:
    """What a command said, without the names of this folder and of its runs, and the times."""
    text = json.dumps(value).replace(str(folder), "FOLDER")
    for run_id, name in run_ids.items():
        text = text.replace(run_id, name)
    said = json.loads(text)
    if isinstance(said, dict) and "events" in said:
        said["events"] = [each["name"] for each in said["events"]]
    if isinstance(said, dict) and "attempts" in said:
        # An answer has ids and times of the provider's own.
        said = {name: said[name] for name in ("run_id", "key", "record", "state", "output", "request")}
    return said


def scenario(call: Call, folder: Desk, *place: str) -> list[tuple[int, Any]]:
    """One life of a run by commands; how each ended and the object that it gave."""
    told: list[tuple[int, Any]] = []
    run_ids: dict[str, str] = {}

    def asked(*arguments: str) -> Any:
        end = call(folder, *arguments, *place, "--json")
        assert end.out, end.err
        if "run_id" in end.result:
            run_ids.setdefault(end.result["run_id"], f"RUN-{len(run_ids)}")
        told.append((end.code, leveled(end.result, folder.path, run_ids)))
        return end.result

    asked("plan", "task.json", "--input", "rows.jsonl")
    asked("status")
    run_id = asked(*RUN)["run_id"]
    asked(*RUN)
    asked("status", run_id)
    asked("retry", run_id, "--reason", "check")
    asked("retry", run_id)
    asked("cancel", run_id)
    asked("pause", run_id)
    asked("watch", run_id)
    asked("record", "r3", run_id)
    asked("record", "nobody", run_id)
    asked("export", run_id, "--output", "again.csv")
    asked("sample", "task.json", "--input", "rows.jsonl", "-n", "2")
    asked("status", "colours-0000")
    asked("run", "task.json", "--input", "no.jsonl", "--output", "out.jsonl")
    asked("run", "task.json", "--input", "rows.jsonl", "--output", "out.docx")
    asked("run", "task.json", "--input", "rows.jsonl", "--output", "out.jsonl", "--deadline", "soon")
    asked(*RUN)
    asked("schedule", "list")
    asked("keys", "list")
    return told


# Where the two differ: a run of a service has no file of its own, so what is asked of it by its id names
# none.
NO_FILE = ("output", "failures")


def test_the_same_commands_say_the_same_of_a_home_and_of_a_service(tmp_path: Path, call: Call) -> None:
    with process.start(faults={"refusal": [{"every": 6}]}) as simulator:
        at_home = scenario(call, Desk(tmp_path / "home", server=simulator.url))
        house = Desk(tmp_path / "house", server=simulator.url)
    with process.start(faults={"refusal": [{"every": 6}]}) as simulator:
        house.server = simulator.url
        desk = Desk(tmp_path / "desk", server=GONE, key=None)
        with service(house) as (_, url):
            by_server = scenario(call, desk, "--server", url)
    assert [code for code, _ in by_server] == [code for code, _ in at_home]
    for here, there in zip(at_home, by_server, strict=True):
        mine, other = (dict(each[1]) for each in (here, there))
        if "error" in mine:
            assert "error" in other
            continue
        for each in (mine, other):
            for name in NO_FILE:
                each.pop(name, None)
            for run in each.get("runs", []):
                for name in NO_FILE:
                    run.pop(name)
        assert other == mine
    for name in ("out.jsonl", "again.csv"):
        assert (desk.path / name).read_bytes() == (tmp_path / "home" / name).read_bytes()
    assert not (desk.path / ".nightmail").exists()


def test_what_only_the_worker_finds_wrong_ends_the_command_too(
    tmp_path: Path, call: Call, simulator: process.SimulatorProcess
) -> None:
    house, desk = Desk(tmp_path / "house", server=simulator.url), Desk(tmp_path / "desk", key=None)
    with service(house) as (_, url):
        desk.more["NIGHTMAIL_SERVER"] = url
        refused = call(desk, "run", "task.json", "--input", "broken.jsonl", "--output", "out.jsonl", *FAST)
        assert refused.code == 2
        assert "broken.jsonl:2: not JSON" in refused.err
        assert str(house.path) not in refused.err
        run_id = call(desk, "status", "--json").result["runs"][0]["run_id"]
        assert f"nightmail cancel {run_id} --server {url}" in refused.err
        assert call(desk, "cancel", run_id).code == 0


def test_a_key_is_needed_and_taken_from_the_environment_or_a_file(tmp_path: Path, call: Call) -> None:
    house, desk = Desk(tmp_path / "house", server=GONE), Desk(tmp_path / "desk", key=None)
    keys = {
        scope: call(house, "keys", "add", "ours", "--scope", scope, "--json").result["key"]
        for scope in ("read", "admin")
    }
    with service(house) as (_, url):
        for wrong in (None, "nm_0_1", keys["read"] + "0"):
            desk.more = {"NIGHTMAIL_SERVER": url} | ({"NIGHTMAIL_API_KEY": wrong} if wrong else {})
            refused = call(desk, "status")
            assert refused.code == 2
            assert "NIGHTMAIL_API_KEY" in refused.err
            assert not wrong or wrong not in refused.err
        held = desk.write("key", keys["read"] + "\n")
        desk.more = {"NIGHTMAIL_SERVER": url, "NIGHTMAIL_API_KEY_FILE": str(held)}
        assert call(desk, "status", "--json").result == {"runs": []}
        assert call(desk, *RUN).code == 2
        assert call(desk, "keys", "list").code == 2
        desk.more["NIGHTMAIL_API_KEY"] = keys["admin"]
        made = call(desk, "keys", "add", "theirs", "--budget", "3", "--json").result["key"]
        listed = call(desk, "keys", "list", "--json").result["keys"]
        assert [each["tenant"] for each in listed] == ["ours", "ours", "theirs"]
        assert call(desk, "keys", "revoke", made.split("_")[1]).code == 0
        assert call(desk, "keys", "revoke", made.split("_")[1]).code == 2
        held.unlink()
        del desk.more["NIGHTMAIL_API_KEY"]
        assert "NIGHTMAIL_API_KEY_FILE" in call(desk, "status").err


def test_a_service_that_is_not_there_is_said_to_be(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "FIRST_WAIT", 0.01)
    gone = call(Desk(tmp_path / "desk", key=None), "status", "--server", GONE, "--json")
    assert (gone.code, gone.result["exit_code"]) == (4, 4)
    assert f"{GONE} cannot be reached" in gone.err


def test_schedules_are_kept_there_within_the_folders_that_are_open(
    tmp_path: Path, call: Call, simulator: process.SimulatorProcess
) -> None:
    house, desk = Desk(tmp_path / "house", server=simulator.url), Desk(tmp_path / "desk", key=None)
    (house.path / ".nightmail").mkdir()
    (house.path / "out").mkdir()
    opened = f'[serve]\nsources = ["{house.path}"]\noutputs = ["{house.path}/out"]\n'
    house.write(".nightmail/nightmail.toml", opened)
    with service(house) as (_, url):
        desk.more["NIGHTMAIL_SERVER"] = url
        add = ("schedule", "add", "nightly", "task.json", "--cron", "0 2 * * *", *FAST)
        rows, out = str(house.path / "rows.jsonl"), str(house.path / "out" / "{date}.jsonl")
        assert call(desk, *add, "--input", "rows.jsonl", "--output", out).code == 2
        assert call(desk, *add, "--input", rows, "--output", "/etc/{date}.jsonl").code == 2
        assert call(desk, *add, "--input", rows, "--output", out).code == 0
        assert call(desk, *add, "--input", rows, "--output", out).code == 2
        ran = call(desk, "schedule", "run", "nightly", "--json")
        assert (ran.code, ran.result["succeeded"]) == (0, 12), ran.err
        (listed,) = call(desk, "schedule", "list", "--json").result["schedules"]
        assert (listed["name"], listed["occurrences"][0]["run_id"]) == ("nightly", ran.result["run_id"])
        assert call(desk, "schedule", "pause", "nightly").code == 0
        assert call(desk, "schedule", "remove", "nightly").code == 0
        assert call(desk, "schedule", "remove", "nightly").code == 2
    assert len(list((house.path / "out").iterdir())) == 1
