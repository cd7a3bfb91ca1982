"""A process for a run's work is started by the look of the command line, and ended if it was for nothing."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightmail import processes
from nightmail.__main__ import main as command
from nightmail.cli import ahead
from nightmail.cli.exits import Exit
from nightmail.cli.main import main
from nightmail.processes import WORTH_ONE


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    processes.drop_ahead()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(WORTH_ONE + 1)
    return path


@pytest.mark.parametrize("form", ["--input {}", "--input={}"])
def test_a_run_over_a_large_file_has_its_process_at_once(large, form):
    words = form.format(large).split(" ")

    ahead.start(["run", "task.py", *words, "--output", "o.parquet"])

    assert processes._ahead


def test_nothing_else_has_one(large, tmp_path):
    small = tmp_path / "small.jsonl"
    small.write_text("{}\n")
    for words in (
        [],
        ["run"],
        ["run", "--input"],
        ["run", "task.py", "--input", str(small)],
        ["run", "task.py", "--input", str(tmp_path / "*.jsonl")],
        ["run", "task.py", "--input", "\0"],
        ["plan", "task.py", "--input", str(large)],
    ):
        ahead.start(words)
    assert not processes._ahead


def test_a_run_that_another_machine_does_ends_it(large, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [
        "run",
        "task.py",
        "--input",
        str(large),
        "--output",
        "o.parquet",
        "--server",
        "http://127.0.0.1:1",
    ]
    ahead.start(words)
    assert processes._ahead

    assert main(words) != 0

    assert not processes._ahead


def test_ctrl_c_while_modules_are_imported_shows_no_traceback(monkeypatch, capsys):
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "nightmail.cli.main")
    monkeypatch.setattr("importlib._bootstrap_external.SourceFileLoader.exec_module", interrupted)

    assert command(["--version"]) == Exit.NOT_AT_END

    assert capsys.readouterr().err == "error: interrupted before anything began\n"
