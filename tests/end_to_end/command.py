"""The command line as a process, in a folder with a task and an input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE = 90.0
TASK = '''
from typing import Literal

import msgspec
import nightmail


class Answer(msgspec.Struct):
    section: Literal["admin", "devel", "games", "net"]
    why: str


class Sections(nightmail.Task):
    """Which section of the archive does a package belong to?"""

    model = "gpt-4o-mini"
    system = "You file packages."
    output = Answer

    def build(self, record):
        return f"{record['short']}\\n\\n{record['body']}"
'''


class Ended(NamedTuple):
    """How a command ended, and what it said on each stream."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> Any:
        """The one JSON object; fails if there is anything else on standard output."""
        return json.loads(self.out)


class Folder:
    """A working folder. `key`, `server` and `more` are what the environment has for the commands in it."""

    def __init__(self, path: Path, *, server: str | None = None, key: str | None = "sk-test") -> None:
        self.path = path
        self.server = server
        self.key = key
        self.more: dict[str, str] = {}
        self._run_id: str | None = None
        self.write("sections.py", TASK)

    def write(self, name: str, text: str) -> Path:
        (self.path / name).write_text(text, encoding="utf-8")
        return self.path / name

    def write_rows(self, name: str, count: int) -> Path:
        rows = (
            {"id": f"p{n}", "short": f"package {n} for games", "body": "plays over the net " * (n % 7)}
            for n in range(count)
        )
        return self.write(name, "".join(json.dumps(row) + "\n" for row in rows))

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OPENAI_", "NIGHTMAIL_"))
        }
        given = {"OPENAI_BASE_URL": self.server, "OPENAI_API_KEY": self.key}
        return kept | {name: value for name, value in given.items() if value is not None} | self.more

    def start(self, *arguments: str, **streams: Any) -> subprocess.Popen[str]:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        return subprocess.Popen(
            [sys.executable, "-m", "nightmail", *arguments],
            cwd=self.path,
            env=self.environment,
            text=True,
            **streams,
        )

    def nightmail(self, *arguments: str) -> Ended:
        with self.start(*arguments) as process:
            return ended(process)

    def status(self) -> dict[str, Any]:
        """The folder's first run as `status --json` has it; nothing if there is none yet."""
        if self._run_id is None:
            runs = self.nightmail("status", "--json").result["runs"]
            if not runs:
                return {}
            self._run_id = runs[-1]["run_id"]
        return dict(self.nightmail("status", self._run_id, "--json").result)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "still not so"
            time.sleep(0.02)

    def wait_until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The folder's first run, once it is so."""
        deadline = time.monotonic() + PATIENCE
        while not (run := self.status()) or not condition(run):
            assert time.monotonic() < deadline, f"still not so: {run}"
        return run


def ended(process: subprocess.Popen[str]) -> Ended:
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        raise
    assert "Traceback" not in (err or ""), err
    return Ended(process.returncode, out or "", err or "")
