from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nightmail import client
from nightmail.cli import main as module
from nightmail.cli.main import main

COMMANDS = (
    *(
        "demo",
        "run",
        "plan",
        "sample",
        "status",
        "watch",
        "record",
        "retry",
        "cancel",
        "pause",
        "resume",
        "export",
    ),
    *("doctor", "worker", "simulate"),
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder, with neither key nor server."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "NIGHTMAIL_HOME",
        "NIGHTMAIL_DEBUG",
        "NIGHTMAIL_SERVER",
    ):
        monkeypatch.delenv(name, raising=False)


def test_help_names_every_command_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n  {name} " not in shown] == []
    assert "Exit codes: 0 all records succeeded" in shown


def test_nothing_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "Usage: nightmail" in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main([name, "--help"])
    except SystemExit as ended:
        # The simulator reads its own options.
        code = int(ended.code or 0)
    assert code == 0
    assert "sage: nightmail" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("nightmail 0.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frobnicate"], "frobnicate"),
        (["run"], "TASK"),
        (["run", "task.py", "--input", "rows.jsonl"], "--output"),
        (["run", "task.py", "--input", "a", "--output", "b", "--mode", "pigeon"], "pigeon"),
        (["run", "task.py", "--input", "a", "--output", "b", "--limit", "0"], "--limit"),
        (["run", "task.py", "--input", "a", "--output", "b", "--quota", "x"], "MODEL=TOKENS"),
        (["run", "task.py", "--input", "a", "--output", "b", "--deadline", "5"], "like 6h"),
        (["run", "nothing.py", "--input", "a.jsonl", "--output", "b.jsonl"], "nothing.py"),
        (["plan", "nothing.py", "--input", "a.jsonl"], "nothing.py"),
        (["sample", "nothing.py", "--input", "a.jsonl"], "nothing.py"),
        (["status", "topics-0000"], "no run"),
        (["watch"], "no run"),
        (["record", "r1"], "no run"),
        (["retry"], "no run"),
        (["cancel"], "no run"),
        (["pause"], "no run"),
        (["resume"], "no run"),
        (["export", "--output", "x.csv"], "no run"),
        (["worker", "--run", "topics-0000"], "no run"),
        (["worker", "--server", "http://127.0.0.1:9"], "works on a home"),
        (["backup", "b", "--server", "http://127.0.0.1:9"], "works on a home"),
        (["status", "--server", "http://127.0.0.1:9", "--home", "h"], "exclude each other"),
        (["status", "--server", "127.0.0.1:9"], "such as https://"),
        (["status", "--server", "https://me:secret@batch.example.org"], "NIGHTMAIL_API_KEY"),
        (["doctor", "--fix", "--server", "http://127.0.0.1:9"], "on its own machine"),
        (
            ["run", "t.py", "--input", "a", "--output", "b.csv", "--server", "http://127.0.0.1:9"],
            "no Python of",
        ),
        (["doctor", "--resend", "a.b1", "--adopt", "a.b1=batch_1"], "exclude each other"),
        (["doctor", "--adopt", "a.b1"], "BATCH=PROVIDER_BATCH_ID"),
        (["doctor", "--resend", "a.b1"], "no run"),
        (["status", "--home", __file__], "is a file"),
    ],
)
def test_a_user_s_mistake_is_one_message_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert said in shown.err
    assert "Traceback" not in shown.err


def test_a_home_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    for command in ("status", "watch", "retry", "cancel", "pause", "resume", "doctor"):
        main([command, "--home", "typo"])
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", "--until-idle"]) == 0
    for arguments in (
        ["status", "topics-0000"],
        ["watch", "topics-0000"],
        ["worker", "--run", "topics-0000"],
    ):
        assert main(arguments) == 2
        assert "topics-0000" in capsys.readouterr().err
    assert main(["doctor", "--resend", "topics-0000.b1"]) == 2
    assert "topics-0000.b1" in capsys.readouterr().err


def test_an_error_with_json_is_exactly_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "topics-0000", "--json"]) == 2
    assert main(["run", "--json"]) == 2
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["exit_code"] == 2
    assert "no run" in first["error"]
    assert second.keys() == {"error", "exit_code"}


def test_a_home_without_runs_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 0
    assert capsys.readouterr().out.startswith(f"no runs: there is no home {tmp_path / '.nightmail'} (")
    assert main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"runs": []}


def test_a_worker_of_an_empty_home_is_idle_at_once() -> None:
    assert main(["worker", "--until-idle"]) == 0


def test_a_doctor_finds_nothing_in_an_empty_home(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", "--until-idle"]) == 0
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []


def test_a_fault_of_ours_shows_its_place_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> int:
        raise RuntimeError("it broke")

    monkeypatch.setattr(module, "app", broken)
    assert main(["status"]) == 70
    assert "Traceback" not in (quiet := capsys.readouterr().err)
    assert "please report it: RuntimeError: it broke" in quiet
    monkeypatch.setenv("NIGHTMAIL_DEBUG", "1")
    assert main(["status"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_help_loads_nothing_heavy() -> None:
    heavy = [
        "pyarrow",
        "openai",
        "pydantic",
        "gigatoken",
        "quicktok",
        "rich",
        "msgspec",
        "uvicorn",
        "starlette",
    ]
    code = (
        "import sys; from nightmail.cli.main import main; main(['--help']); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"


def test_a_command_that_ends_does_not_look_for_garbage_once_more() -> None:
    # What is registered first is called last.
    code = (
        "import atexit, gc; atexit.register(lambda: print(len(gc.get_objects())));"
        "from nightmail.cli.main import main; main(['--version'])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ended.stdout.split()[-1]) < 100


def test_a_reader_who_has_gone_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "nightmail", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as said:
        assert b"Traceback" not in said.read()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_work_begins_is_an_interruption(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = client.Client

    def struck(*arguments: Any, **named: Any) -> object:
        signal.raise_signal(number)  # to this thread: another one may be slow to pass it on
        return plain(*arguments, **named)

    Path(".nightmail").mkdir()
    monkeypatch.setattr(client, "Client", struck)
    before = signal.getsignal(number)
    assert main(["status", "--json"]) == 3
    said = capsys.readouterr()
    assert json.loads(said.out)["exit_code"] == 3
    assert "interrupted; nothing is lost" in said.err
    assert signal.getsignal(number) is before
