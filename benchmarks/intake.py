"""Hand records in at a steady rate, with the service killed in the middle if asked for; then count.

    python -m benchmarks.intake --seconds 60 --rate 500 --records 10 --kill

Starts a service on a home of its own, and opens its dashboard: the live overview and the live page of a run,
and besides the overview is loaded anew every two seconds. Pages of records are sent at fixed times
(`benchmarks/arrivals.py`), again and word for word where their answer was lost. At the end every
acknowledged record must be in the intake once. Latencies count from when a page was due; with `--kill` those
of the outage, until everything late was sent, are told apart. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from benchmarks.arrivals import Load

from nightmail.simulator import process

TASK = {"name": "load", "model": "gpt-4o-mini", "prompt": "{text}"}
TEXT = "The night mail crossing the border, bringing the cheque and the postal order. " * 4
POLL = 2.0
NOWHERE = "http://127.0.0.1:9/v1"
OVERVIEW = "/"
HEAD = "HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


class Served:
    """A service as a process, on a port that stays the same from one life to the next."""

    def __init__(self, home: Path, port: int = 0, *, work: bool = True, provider: str = NOWHERE) -> None:
        command = [sys.executable, "-m", "nightmail", "serve", "--home", str(home), "--port", str(port)]
        environment = {**os.environ, "OPENAI_BASE_URL": provider, "OPENAI_API_KEY": "none"}
        self.process = subprocess.Popen(
            [*command, *([] if work else ["--no-work"])],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if "listening" not in line:
            raise SystemExit("the service did not start")
        self.port = int(line.rstrip().rpartition(":")[2])
        self._cpu_at_start = self._cpu()

    @property
    def cpu(self) -> float:
        """Seconds of CPU since it listens, of all its threads; of its child processes only those that have
        ended."""
        return self._cpu() - self._cpu_at_start

    def _cpu(self) -> float:
        # Fields 14 to 17 of proc_pid_stat(5); the name before them may have spaces in it.
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK")

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(port: int, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """One HTTP request; the status and the body."""
    head = f"{method} {path} {HEAD}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    async with connected(port) as (reader, writer):
        writer.write(head.encode() + body)
        answer = await reader.read()
    return int(answer[9:12]), answer.partition(b"\r\n\r\n")[2]


class Dashboard:
    """What a browser with the overview open asks for, until it is cancelled; also over a restart."""

    def __init__(self, port: int, run_id: str) -> None:
        self._port, self._run_id = port, run_id
        self.events = self.polls = 0

    async def open(self) -> None:
        await asyncio.gather(self._stream("/live"), self._stream(f"/runs/{self._run_id}/live"), self._poll())

    async def _stream(self, path: str) -> None:
        while True:
            with contextlib.suppress(OSError):
                async with connected(self._port) as (reader, writer):
                    writer.write(f"GET {path} {HEAD}\r\n".encode())
                    while line := await reader.readline():
                        self.events += line.startswith(b"event:")
            await asyncio.sleep(POLL)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            with contextlib.suppress(OSError, ValueError):
                status, _ = await ask(self._port, "GET", OVERVIEW)
                self.polls += status == 200


def page_maker(records: int) -> Callable[[int], bytes]:
    """The bytes of the request with page n: its records have the keys n-0, n-1, ..."""
    lines = ",".join(
        f'{{"key":"%d-{line}","record":{{"id":"%d-{line}","text":"{TEXT}"}}}}' for line in range(records)
    )
    body = f'{{"records":[{lines}]}}'.encode()
    head = f"POST /api/v1/intakes/load/records {HEAD}Content-Length: %d\r\n\r\n".encode()

    def request(number: int) -> bytes:
        content = body % ((number,) * (2 * records))
        return head % len(content) + content

    return request


async def prepare(port: int, max_waiting: int) -> str:
    """Make the intake, and a run to watch; its id."""
    intake = {"intake_id": "load", "task": TASK, "max_waiting": max_waiting, "max_wait_seconds": 86_400}
    status, body = await ask(port, "POST", "/api/v1/intakes", json.dumps(intake).encode())
    assert status == 201, body
    run = {"task": {**TASK, "name": "watched"}, "source": {"records": [{"text": "to be watched"}]}}
    status, body = await ask(port, "POST", "/api/v1/runs", json.dumps(run).encode())
    assert status == 201, body
    return str(json.loads(body)["run_id"])


def rehearse(
    home: Path,
    *,
    seconds: float,
    rate: float,
    records: int,
    kill: bool = False,
    work: bool = True,
    max_waiting: int = 100_000_000,
    provider: bool = False,
) -> dict[str, Any]:
    """The whole: the figures, and whether every acknowledged record is there once."""
    if provider:
        with process.start() as simulator:
            return _rehearse(home, simulator.url, seconds, rate, records, kill, work, max_waiting)
    return _rehearse(home, NOWHERE, seconds, rate, records, kill, work, max_waiting)


def _rehearse(
    home: Path, provider: str, seconds: float, rate: float, records: int, kill: bool, work: bool, most: int
) -> dict[str, Any]:
    def served(port: int = 0) -> Served:
        return Served(home, port, work=work, provider=provider)

    service = served()
    cpu, outage = 0.0, (0.0, 0.0)

    async def go() -> tuple[Load, Dashboard]:
        nonlocal service, cpu, outage
        dashboard = Dashboard(service.port, await prepare(service.port, most))
        load = Load(service.port, total=int(seconds * rate), rate=rate, request=page_maker(records))
        looking = asyncio.create_task(dashboard.open())
        sending = asyncio.create_task(load.run())
        if kill:
            await asyncio.sleep(seconds / 2)
            cpu, began = service.cpu, time.monotonic()
            await asyncio.to_thread(service.end, signal.SIGKILL)
            service = await asyncio.to_thread(served, service.port)
            while not load.is_caught_up and not sending.done():
                await asyncio.sleep(0.01)
            outage = began, time.monotonic()
        await sending
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        return load, dashboard

    load, dashboard = run_fast(go())
    cpu += service.cpu
    service.end(signal.SIGTERM)
    with contextlib.closing(sqlite3.connect(home / "nightmail.db")) as database:
        kept = Counter(key for (key,) in database.execute("SELECT key FROM intake_records"))
        (finished,) = database.execute("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL").fetchone()
    keys = [f"{number}-{line}" for number in load.acknowledged for line in range(records)]
    usual = [took for number, took in load.took.items() if not outage[0] <= load.due(number) <= outage[1]]
    return {
        "requests": sum(load.statuses.values()),
        "statuses": dict(load.statuses),
        "reconnects": load.reconnects,
        "acknowledged": len(keys),
        "lost": sum(key not in kept for key in keys),
        "doubled": sum(count - 1 for count in kept.values()),
        "dashboard": {"events": dashboard.events, "looks": dashboard.polls},
        "finished_runs": finished,
        "outage_s": round(outage[1] - outage[0], 1),
        "service_cpu_ms_per_request": round(cpu * 1000 / max(1, sum(load.statuses.values())), 2),
        "most_waiting": load.most_waiting,
        **quantiles(usual),
    }


def run_fast(work: Coroutine[Any, Any, Any]) -> Any:
    """On uvloop where it is installed: what measures must not be what is slow."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.run(work)
    return uvloop.run(work)


def quantiles(took: Sequence[float]) -> dict[str, float]:
    found = sorted(took) or [0.0]
    return {
        f"{name}_ms": round(found[min(len(found) - 1, int(len(found) * share))] * 1000, 1)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second")
    parser.add_argument("--records", type=int, default=10, help="records in a request")
    parser.add_argument("--kill", action="store_true", help="kill -9 the service in the middle")
    parser.add_argument("--no-work", dest="work", action="store_false", help="leave runs to other workers")
    parser.add_argument("--max-waiting", type=int, default=100_000_000, help="the intake's bound, in records")
    parser.add_argument("--provider", action="store_true", help="a simulated one, that answers meanwhile")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        loads = os.getloadavg()[0]
        print(json.dumps({"load_before": round(loads, 2), **rehearse(Path(folder) / "home", **vars(given))}))


if __name__ == "__main__":
    main()
