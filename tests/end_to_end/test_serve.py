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
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from benchmarks.intake import rehearse

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


def get(url: str | Request) -> Any:
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
    with served(folder, "--no-work") as (_, url):
        second = folder.nightmail("serve", "--port", url.rpartition(":")[2])
        assert second.code == 2
        assert "cannot listen on 127.0.0.1:" in second.err


def test_others_are_let_in_by_key_only(tmp_path: Path) -> None:
    folder = Folder(tmp_path, server="http://127.0.0.1:9")
    refused = folder.nightmail("serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.code == 2
    assert "nightmail keys add" in refused.err

    key = folder.nightmail("keys", "add", "ours", "--budget", "5", "--json").result["key"]
    listed = folder.nightmail("keys", "list", "--json").result["keys"]
    assert [(each["key_id"], each["tenant"], each["revoked_at"]) for each in listed] == [
        (key.split("_")[1], "ours", None)
    ]
    with served(folder, "--host", "0.0.0.0", "--no-work") as (serving, url):
        where = f"http://127.0.0.1:{url.rpartition(':')[2]}/api/v1/runs"
        with pytest.raises(HTTPError, match="401"):
            get(where)
        assert get(Request(where, headers={"Authorization": f"Bearer {key}"})) == {"runs": [], "next": None}
        # Whoever is on the machine sees the command lines of its processes.
        if Path("/proc").is_dir():
            shown = Path(f"/proc/{serving.pid}/cmdline").read_text()
            assert "serve" in shown
            assert key.rpartition("_")[2] not in shown
            assert str(folder.key) not in shown
    assert folder.nightmail("keys", "revoke", listed[0]["key_id"]).code == 0
    assert folder.nightmail("serve", "--host", "0.0.0.0", "--port", "0").code == 2


def test_sigterm_ends_those_who_watch_too(tmp_path: Path) -> None:
    folder = Folder(tmp_path, server="http://127.0.0.1:9")
    rows = folder.write_rows("rows.jsonl", 3)

    async def start() -> str:
        async with Client(tmp_path / ".nightmail", base_url="http://127.0.0.1:9") as client:
            return (await client.start(str(tmp_path / "sections.py"), rows)).run_id

    run_id = asyncio.run(start())
    with served(folder, "--no-work") as (serving, url):
        with urlopen(f"{url}/api/v1/runs/{run_id}/watch", timeout=30) as watching:
            assert watching.readline() == b"event: run\n"
            serving.send_signal(signal.SIGTERM)
            watching.read()
        assert ended(serving).code == 0


def test_what_was_acknowledged_survives_a_kill_in_the_middle(tmp_path: Path) -> None:
    counted = rehearse(tmp_path / "home", seconds=2.0, rate=60, records=5, kill=True)
    assert (counted["lost"], counted["doubled"], counted["acknowledged"]) == (0, 0, 600)
    assert counted["statuses"].keys() == {202}


def test_over_its_bound_it_says_later_and_nothing_else(tmp_path: Path) -> None:
    counted = rehearse(tmp_path / "home", seconds=1.0, rate=60, records=5, work=False, max_waiting=100)
    assert counted["statuses"] == {202: 20, 429: 40}
    assert (counted["lost"], counted["doubled"], counted["acknowledged"]) == (0, 0, 100)
