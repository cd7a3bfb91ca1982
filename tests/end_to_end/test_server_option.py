"""The command line with `--server`: signals, and a service that is killed in the middle."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightmail.simulator import process
from tests.end_to_end.command import Folder, ended
from tests.end_to_end.test_serve import served

pytestmark = pytest.mark.end_to_end

DECLARED = {
    "name": "Colours",
    "model": "gpt-4o-mini",
    "prompt": "Which colour has {text}?",
    "output": ["red", "green", "blue"],
}
FAST = ("--poll-interval", "0.05")
RUN = ("run", "task.json", "--input", "rows.jsonl", "--output", "out.jsonl", *FAST)
GONE = "http://127.0.0.1:9"


class Desk(Folder):
    """A folder with a declared task and its rows; of the broken ones the second cannot be read."""

    def __init__(self, path: Path, **options: Any) -> None:
        path.mkdir(exist_ok=True)
        super().__init__(path, **options)
        self.write("task.json", json.dumps(DECLARED))
        rows = [json.dumps({"id": f"r{n}", "text": f"a green thing {n}"}) for n in range(12)]
        self.write("rows.jsonl", "\n".join(rows) + "\n")
        self.write("broken.jsonl", rows[0] + "\nno json\n")


@contextlib.contextmanager
def service(folder: Folder, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with served(folder, *arguments) as (serving, url):
        assert url.startswith("http://"), serving.stderr.read() if serving.stderr else ""
        yield serving, url


def test_a_run_is_left_there_paused_resumed_watched_and_cancelled(tmp_path: Path) -> None:
    with process.start(options=("--timing", "realistic")) as simulator:
        house, desk = Desk(tmp_path / "house", server=simulator.url), Desk(tmp_path / "desk", key=None)
        with service(house) as (_, url):
            desk.more["NIGHTMAIL_SERVER"] = url
            left = desk.nightmail(*RUN, "--detach", "--json")
            assert left.code == 3, left.err
            run_id = left.result["run_id"]
            paused = desk.nightmail("pause", run_id, "--json")
            assert (paused.code, paused.result["pause_reason"]) == (0, "user")
            assert desk.nightmail("watch", run_id).code == 3
            resumed = desk.nightmail("resume", run_id, "--budget", "5", "--detach", "--json")
            assert (resumed.code, resumed.result["state"] in ("open", "draining")) == (3, True)
            with desk.start("watch", run_id) as watching:
                assert watching.stderr is not None
                assert run_id in watching.stderr.readline()
                watching.send_signal(signal.SIGINT)
                detached = ended(watching)
            assert detached.code == 3
            assert f"goes on at {url}" in detached.out
            cancelled = desk.nightmail("cancel", run_id, "--json")
            assert (cancelled.code, cancelled.result["state"]) == (0, "cancelled"), cancelled.err


def test_a_service_that_is_away_for_a_while_ends_no_watch(tmp_path: Path) -> None:
    with process.start() as simulator:
        house, desk = Desk(tmp_path / "house", server=simulator.url), Desk(tmp_path / "desk", key=None)
        with service(house, "--no-work") as (serving, url):
            desk.more["NIGHTMAIL_SERVER"] = url
            with desk.start(*RUN, "--json") as working:
                assert working.stderr is not None
                while "reading the input" not in (said := working.stderr.readline()):
                    assert said, "it has ended"
                serving.kill()
                serving.wait()
                while "trying again" not in (said := working.stderr.readline()):
                    assert said, "it has ended"
                with service(house, "--port", url.rpartition(":")[2]):
                    done = ended(working)
        assert (done.code, done.result["succeeded"]) == (0, 12), done.err
        assert len((desk.path / "out.jsonl").read_text().splitlines()) == 12
