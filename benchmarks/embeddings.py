"""How fast embeddings are taken in: from a provider's files of JSON to one Parquet file.

A run of nightmail with default options waits for its batches. Measured is the time from the moment when
all of them have ended: result files fetched and kept, read, checked, written as `fixed_size_list<float>`,
until the process has ended. Then once more, with the files fetched before the first is read (`fetched.py`):
what is measured begins when all are here. Beside both, in processes of their own, `json.loads` for each line
of the same files, alone (nothing is fetched, kept or written there), and with the vectors written to a
Parquet file like ours, as one would do it by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

import process  # noqa: E402 - found by the line above
import vector_server  # noqa: E402

TASK = f"""
import nightmail

class Embedded(nightmail.Task):
    endpoint = "embeddings"
    model = "{vector_server.MODEL}"

    def build(self, record):
        return record["text"]
"""
LOOP = """
import json, sys, time
began, read = time.perf_counter(), time.process_time()
for name in sys.argv[1:]:
    with open(name, "rb") as file:
        for line in file:
            json.loads(line)
print(json.dumps([time.perf_counter() - began, time.process_time() - read]))
"""
BY_HAND = f"""
import json, sys, time
import pyarrow as pa, pyarrow.parquet as pq
began, read = time.perf_counter(), time.process_time()
schema = pa.schema({{"id": pa.string(), "embedding": pa.list_(pa.float32(), {vector_server.DIMENSIONS})}})
easy = {{"compression": "none", "use_dictionary": ["id"], "write_statistics": ["id"]}}
with pq.ParquetWriter("by-hand.parquet", schema, **easy) as writer:
    for name in sys.argv[1:]:
        ids, vectors = [], []
        with open(name, "rb") as file:
            for line in file:
                result = json.loads(line)
                ids.append(result["custom_id"])
                vectors.append(result["response"]["body"]["data"][0]["embedding"])
                if len(ids) == 2_000:
                    writer.write_table(pa.table([ids, vectors], schema=schema))
                    ids, vectors = [], []
        writer.write_table(pa.table([ids, vectors], schema=schema))
print(json.dumps([time.perf_counter() - began, time.process_time() - read]))
"""
LOOPS = {"json.loads": LOOP, "json.loads, to Parquet": BY_HAND}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=50_000, help="each of 1,536 numbers (50000)")
    parser.add_argument("--rounds", type=int, default=1, help="each figure's median is shown (1)")
    parser.add_argument("--folder", type=Path, help="where the files are put (a temporary folder): 3 GB")
    given = parser.parse_args()
    ours = {"as it is": ["-m", "nightmail"], "from the files": [str(HERE / "fetched.py")]}
    measured: dict[str, list[Measured]] = {name: [] for name in (*ours, *LOOPS)}
    for _ in range(given.rounds):
        for name, program in ours.items():
            folder = Path(tempfile.mkdtemp(prefix="nightmail-embeddings-", dir=given.folder))
            try:
                mine, loops, size = _measure(folder, program, given.records)
            finally:
                shutil.rmtree(folder)
            for each, found in {name: mine, **loops}.items():
                measured[each].append(found)
    print(f"{given.records:,} embeddings of {vector_server.DIMENSIONS} numbers, {size / 1e6:,.0f} MB of JSON")
    print(f"{'':<24}{'wall, s':>10}{'CPU, s':>10}{'largest process, MB':>22}{'json.loads / it':>20}")
    shown = {name: sorted(each)[len(each) // 2] for name, each in measured.items()}
    for name, (wall, cpu, peak) in shown.items():
        faster = shown["json.loads"].wall / wall
        largest = f"{peak / 1e6:,.0f}" if peak else "-"
        print(f"{name:<24}{wall:>10.2f}{cpu:>10.2f}{largest:>22}{faster:>20.1f}")


class Measured(NamedTuple):
    """Seconds, and the peak of the largest process in bytes."""

    wall: float
    cpu: float
    peak: int


def _measure(folder: Path, program: list[str], records: int) -> tuple[Measured, dict[str, Measured], int]:
    """Nightmail, each of `LOOPS` over the same files, and their bytes."""
    files, port = folder / "provider", _free_port()
    files.mkdir()
    (folder / "task.py").write_text(TASK)
    with (folder / "input.jsonl").open("w") as source:
        for number in range(records):
            source.write(json.dumps({"id": number, "text": f"package number {number} of the archive"}) + "\n")
    fetched = folder / "fetched"
    environment = {
        **os.environ,
        "OPENAI_API_KEY": "none",
        "PYTHONPATH": os.pathsep.join(sys.path[:2]),
        "FETCHED": str(fetched),
    }
    server = subprocess.Popen(
        [
            sys.executable,
            HERE / "vector_server.py",
            "--folder",
            files,
            f"--port={port}",
            f"--expected={records}",
        ]
    )
    try:
        _until_up(server, port)
        command = [
            sys.executable, *program, "run", "task.py", "--input", "input.jsonl", "--key", "id",
            "--output", "output.parquet", "--home", "home", "--poll-interval", "0.1",
            "--base-url", f"http://127.0.0.1:{port}/v1",
        ]  # fmt: skip
        with (folder / "log.txt").open("wb") as log:
            ours = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
            measured = _watch(ours, lambda: _began(fetched, port, records, from_files=program[0] != "-m"))
    finally:
        server.terminate()
        server.wait()
    if ours.returncode:
        raise SystemExit((folder / "log.txt").read_text()[-2_000:])
    _check(folder / "output.parquet", records)
    results = sorted((folder / "home" / "spool").glob("*/results/*.output.jsonl"))
    loops = {}
    for name, script in LOOPS.items():
        told = subprocess.run(
            [sys.executable, "-c", script, *results], cwd=folder, capture_output=True, check=True, text=True
        )
        loops[name] = Measured(*json.loads(told.stdout), 0)
    return measured, loops, sum(path.stat().st_size for path in results)


def _began(fetched: Path, port: int, records: int, *, from_files: bool) -> float | None:
    """When what is measured began; None if it has not."""
    if from_files:
        # Empty for a moment, while it is being written.
        written = fetched.read_text() if fetched.exists() else ""
        return float(written) if written else None
    return time.time() if _made(port) >= records else None


def _watch(ours: subprocess.Popen[bytes], began: Callable[[], float | None]) -> Measured:
    """What it takes from then to the end of the process."""
    peaks: list[int] = [0]
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            peaks.append(max(map(process.peak_rss, process.family(ours.pid))))

    watching = threading.Thread(target=look)
    watching.start()
    try:
        while (since := began()) is None:
            if ours.poll() is not None:
                return Measured(0.0, 0.0, 0)
            time.sleep(0.02)
        used = sum(map(process.cpu_seconds, process.family(ours.pid)))
        _, status, usage = os.wait4(ours.pid, 0)
        wall = time.time() - since
    finally:
        over.set()
        watching.join()
    ours.returncode = os.waitstatus_to_exitcode(status)
    return Measured(wall, usage.ru_utime + usage.ru_stime - used, max(peaks))


def _made(port: int) -> int:
    with urlopen(f"http://127.0.0.1:{port}/made", timeout=60) as reply:
        return int(reply.read())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _until_up(server: subprocess.Popen[bytes], port: int) -> None:
    while server.poll() is None:
        try:
            _made(port)
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("the server of the benchmark did not start; see above")


def _check(output: Path, records: int) -> None:
    """Every record has its vector, of the type that is promised."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(output)
    kind = file.schema_arrow.field("embedding").type
    if not kind.equals(pa.list_(pa.float32(), vector_server.DIMENSIONS)) or file.metadata.num_rows != records:
        raise SystemExit(f"wrong output: {file.metadata.num_rows} rows of {kind}")


if __name__ == "__main__":
    main()
