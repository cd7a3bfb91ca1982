"""Mode `sync` against a server that answers after 50 ms: how close to what its concurrency allows.

The server lets 32 calls in at once and refuses the others with 429, without saying how many there may be;
then another one lets everybody in. The least possible time is calls x latency / calls at once, where without
a bound the calls at once are those that nightmail itself makes at most. Measured is the whole process, from
its start to its end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

import call_server  # noqa: E402 - found by the line above
import dataset  # noqa: E402
import watched  # noqa: E402

ROOM = 32


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=10_000)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="nightmail-calls-"))
    try:
        dataset.write(folder / "input.jsonl", given.records)
        (folder / "task.py").write_text("from sections import Sections\n")
        print(f"{given.records:,} calls of {call_server.LATENCY * 1e3:.0f} ms each")
        print(
            f"{'at once':<12}{'least, s':>10}{'wall, s':>10}{'ratio':>8}{'CPU, ms/call':>14}{'refused':>10}"
        )
        for room in (ROOM, 0):
            _measure(folder, given.records, room)
    finally:
        shutil.rmtree(folder)


def _measure(folder: Path, records: int, room: int) -> None:
    from nightmail.core import throttle

    server = subprocess.Popen(
        [sys.executable, HERE / "call_server.py", f"--room={room}"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        command = [
            sys.executable, "-m", "nightmail", "run", "task.py:Sections", "--input", "input.jsonl",
            "--output", f"output-{room}.jsonl", "--home", f"home-{room}", "--mode", "sync",
            "--base-url", f"{url}/v1",
        ]  # fmt: skip
        environment = {**os.environ, "OPENAI_API_KEY": "none", "PYTHONPATH": os.pathsep.join(sys.path[:2])}
        used = watched.run(command, log=folder / "log.txt", folder=folder, env=environment, timeout=600.0)
        with urlopen(f"{url}/told", timeout=10) as reply:
            told: dict[str, Any] = json.load(reply)
    finally:
        server.terminate()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()
    if used.exit_code or told["answered"] != records:
        raise SystemExit(f"{told} of {records}, exit code {used.exit_code}: {used.said}")
    least = records * call_server.LATENCY / (room or throttle.MOST)
    name = str(room) if room else f"all ({throttle.MOST:.0f})"
    print(
        f"{name:<12}{least:>10.1f}{used.wall_seconds:>10.1f}{used.wall_seconds / least:>8.2f}"
        f"{used.cpu_seconds / records * 1e3:>14.2f}{told['refused']:>10,}"
    )


if __name__ == "__main__":
    main()
