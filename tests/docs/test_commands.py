"""The commands of the pages work: each page is followed, in order, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.pages import PORT, ROOT, Step, steps_of, unmarked

FOLLOWED = ("README.md", "docs/tutorial.md", "docs/how-to/test-a-task.md")
PATIENCE = 120.0
EXAMPLES = ROOT / "examples"
Start = Callable[[str, str], None]


def test_the_readme_and_the_tutorial_show_no_command_that_is_not_run() -> None:
    assert [command for name in FOLLOWED for command in unmarked(ROOT / name)] == []


def test_make_has_the_targets_that_the_pages_name() -> None:
    benchmarks = ("bench", "bench-million", "bench-peers", "bench-guard", "profile")
    for target in ("demo", "test", "check", "fmt", *benchmarks, "chaos", "promises", "docs", "clean"):
        tried = subprocess.run(
            ["make", "-n", "-C", ROOT, target], capture_output=True, text=True, check=False
        )
        assert tried.returncode == 0, tried.stderr


@pytest.mark.end_to_end
@pytest.mark.parametrize("name", FOLLOWED)
def test_the_commands_of_a_page_work(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    port = str(free_port())
    steps = [step._replace(text=step.text.replace(PORT, port)) for step in steps_of(ROOT / name)]
    environment = clean_environment(tmp_path / "bin")
    with background(folder, environment) as start:
        prepare(folder, environment)
        if name == "README.md":
            start(f"nightmail simulate --port {port}", port)
        for step in steps:
            follow(step, folder, environment, port, start)


def follow(step: Step, folder: Path, environment: dict[str, str], port: str, start: Start) -> None:
    if step.kind == "file":
        (folder / step.name).write_text(step.text, encoding="utf-8")
        return
    if step.kind == "background":
        start(f"{step.text} --port {port}", port)
        return
    for command in step.text.split("\n"):
        if command.startswith("export "):
            variable, _, value = command.removeprefix("export ").partition("=")
            if variable != "PATH":
                environment[variable] = value
    added = {key: value.replace(PORT, port) for key, value in step.environment.items()}
    done = subprocess.run(
        ["bash", "-ec", step.text],
        cwd=folder,
        env=environment | added,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    said = f"line {step.line}: {step.text}\n{done.stdout}{done.stderr}"
    assert done.returncode == step.exit_code, said
    assert "Traceback" not in done.stderr, said


def clean_environment(programs: Path) -> dict[str, str]:
    """No key and no server of the outside; `nightmail`, `python` and `make` are those of this test.

    `make` only says what it would do: the targets themselves are `nightmail demo`, which has tests of
    its own, and these tests.
    """
    programs.mkdir()
    shims = {
        "nightmail": f'exec "{sys.executable}" -m nightmail "$@"',
        "python": f'exec "{sys.executable}" "$@"',
        "make": f'exec "{shutil.which("make")}" -n -C "{ROOT}" "$@"',
    }
    for name, line in shims.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "NIGHTMAIL_"))}
    return kept | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


def prepare(folder: Path, environment: dict[str, str]) -> None:
    """What the other pages take for granted is the tutorial's: its task and its input."""
    shutil.copy(EXAMPLES / "topics.py", folder)
    subprocess.run(
        [sys.executable, EXAMPLES / "make_rows.py"], cwd=folder, env=environment, check=True, timeout=PATIENCE
    )


@contextmanager
def background(folder: Path, environment: dict[str, str]) -> Iterator[Start]:
    """Start commands that go on; they are ended, with what they have started, at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str, port: str) -> None:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        await_port(int(port), process)

    try:
        yield start
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(10)


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None, f"the background command ended with {process.returncode}"
            assert time.monotonic() < deadline, "nothing is listening"
            time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.end_to_end
def test_the_library_example_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "library.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "3 succeeded" in done.stdout
