"""`nightmail serve` as a process: it answers, works, and ends in an orderly way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from nightmail.client import Client
from nightmail.simulator import process
from tests.end_to_end.command import Folder, ended

pytestmark = pytest.mark.end_to_end


@contextlib.contextmanager
def served(folder: Folder, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service on the folder's home, and where it is."""
    with folder.start("serve", "--port", "0", *arguments) as serving:
        try:
            assert serving.stdout is not None
            yield serving, serving.stdout.readline().rstrip().rpartition(" ")[2]
        finally:
            serving.kill()


def get(url: str) -> Any:
    with urlopen(url, timeout=30) as answer:
        return json.loads(answer.read())


def test_it_carries_runs_out_and_sigterm_ends_it_with_no_lease_left(tmp_path: Path) -> None:
    with process.start() as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        rows = folder.write_rows("rows.jsonl", 30)
        home = tmp_path / ".nightmail"
        with served(folder) as (serving, url):
            assert get(f"{url}/readyz") == {"status": "ok"}

            async def start() -> str:
                async with Client(home, base_url=simulator.url) as client:
                    return (await client.start(str(tmp_path / "sections.py"), rows)).run_id

            where = f"{url}/api/v1/runs/{asyncio.run(start())}"
            folder.wait_for(lambda: get(where)["state"] == "finished")
            assert get(where)["succeeded"] == 30

            serving.send_signal(signal.SIGTERM)
            assert ended(serving).code == 0
        with contextlib.closing(sqlite3.connect(home / "nightmail.db")) as database:
            assert database.execute("SELECT count(*) FROM runs WHERE lease_token IS NOT NULL").fetchone() == (
                0,
            )


def test_a_port_that_is_taken_is_said_to_be(tmp_path: Path) -> None:
    folder = Folder(tmp_path, server="http://127.0.0.1:9")
    with served(folder) as (_, url):
        second = folder.nightmail("serve", "--port", url.rpartition(":")[2])
        assert second.code == 2
        assert "cannot listen on 127.0.0.1:" in second.err
