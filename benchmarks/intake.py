"""Hand records in at a steady rate, with the service killed in the middle if asked for; then count.

    python -m benchmarks.intake --seconds 60 --rate 500 --records 10 --kill

Starts a service on a home of its own. Each of many connections sends its next page when it is due, and
sends a page again, word for word, until it is acknowledged. At the end every acknowledged record must be
in the intake once. Prints one JSON object.
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
from pathlib import Path
from typing import Any

CONNECTIONS = 64
TASK = {"name": "load", "model": "gpt-4o-mini", "prompt": "{text}"}
TEXT = "The night mail crossing the border, bringing the cheque and the postal order. " * 4


class Served:
    """A service as a process, on a port that stays the same from one life to the next."""

    def __init__(self, home: Path, port: int = 0) -> None:
        command = [sys.executable, "-m", "nightmail", "serve", "--home", str(home), "--port", str(port)]
        environment = {**os.environ, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "none"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if "listening" not in line:
            raise SystemExit("the service did not start")
        self.port = int(line.rstrip().rpartition(":")[2])

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


async def ask(
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], method: str, path: str, body: bytes
) -> tuple[int, bytes]:
    """One HTTP request on an open connection; the status and the body."""
    reader, writer = streams
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    answer = await reader.readuntil(b"\r\n\r\n")
    status, length = int(answer[9:12]), 0
    for line in answer.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return status, await reader.readexactly(length)


class Load:
    """What was sent, and what came of it."""

    def __init__(self, port: int, *, seconds: float, rate: float, records: int) -> None:
        self.port = port
        self.total = int(seconds * rate)
        self.rate = rate
        self.records = records
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.acknowledged: list[str] = []
        self.reconnects = 0
        self._next = 0
        self._started = 0.0

    async def run(self) -> None:
        self._started = time.monotonic()
        await asyncio.gather(*(self._connection() for _ in range(CONNECTIONS)))

    async def _connection(self) -> None:
        streams = None
        while (number := self._next) < self.total:
            self._next += 1
            due = self._started + number / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            keys = [f"{number}-{line}" for line in range(self.records)]
            body = json.dumps(
                {"records": [{"key": key, "record": {"id": key, "text": TEXT}} for key in keys]}
            ).encode()
            while True:
                begun = time.monotonic()
                try:
                    if streams is None:
                        streams = await asyncio.open_connection("127.0.0.1", self.port)
                    status, _ = await ask(streams, "POST", "/api/v1/intakes/load/records", body)
                except (OSError, asyncio.IncompleteReadError):
                    self.reconnects += 1
                    if streams is not None:
                        streams[1].close()
                    streams = None
                    await asyncio.sleep(0.05)
                    continue
                self.statuses[status] += 1
                if status == 202:
                    self.latencies.append(time.monotonic() - begun)
                    self.acknowledged += keys
                    break
                await asyncio.sleep(0.5)
        if streams is not None:
            streams[1].close()


def rehearse(home: Path, *, seconds: float, rate: float, records: int, kill: bool) -> dict[str, Any]:
    """The whole: the figures, and whether every acknowledged record is there once."""
    service = Served(home)

    async def go() -> Load:
        nonlocal service
        streams = await asyncio.open_connection("127.0.0.1", service.port)
        intake = {"intake_id": "load", "task": TASK, "max_waiting": 100_000_000, "max_wait_seconds": 86_400}
        status, body = await ask(streams, "POST", "/api/v1/intakes", json.dumps(intake).encode())
        assert status == 201, body
        streams[1].close()
        load = Load(service.port, seconds=seconds, rate=rate, records=records)
        sending = asyncio.create_task(load.run())
        if kill:
            await asyncio.sleep(seconds / 2)
            await asyncio.to_thread(service.end, signal.SIGKILL)
            service = await asyncio.to_thread(Served, home, service.port)
        await sending
        return load

    load = asyncio.run(go())
    service.end(signal.SIGTERM)
    with contextlib.closing(sqlite3.connect(home / "nightmail.db")) as database:
        kept = Counter(key for (key,) in database.execute("SELECT key FROM intake_records"))
    latencies = sorted(load.latencies)
    return {
        "requests": sum(load.statuses.values()),
        "statuses": dict(load.statuses),
        "reconnects": load.reconnects,
        "acknowledged": len(load.acknowledged),
        "lost": sum(key not in kept for key in load.acknowledged),
        "doubled": sum(count - 1 for count in kept.values()),
        "service_cpu_s": round(sum(os.times()[2:4]), 1),
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 1),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 1),
        "max_ms": round(latencies[-1] * 1000, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second")
    parser.add_argument("--records", type=int, default=10, help="records in a request")
    parser.add_argument("--kill", action="store_true", help="kill -9 the service in the middle")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(rehearse(Path(folder) / "home", **vars(given))))


if __name__ == "__main__":
    main()
