"""Whether nightmail does more work for a record than it did: counted work, not time on the wall.

The work is CPU seconds of a run of 20,000 records, in units of a plain loop over the same records: parse the
line with `json`, count the tokens of the text, write the request with `json`. Both are measured side by side
in one process, so that a slower or busier machine makes both slower; of several rounds the least counts.
Imports and vocabularies are loaded by a run before.

`guard.json` has what was recorded. `--check` ends with 1 if every round needs more than 1.5 times that; after
a change that is meant to cost, `--record` records anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

import dataset  # noqa: E402 - found by the line above
import job  # noqa: E402
import process  # noqa: E402
import rounds  # noqa: E402

RECORDED = HERE / "guard.json"
RECORDS = 20_000
ROUNDS = 5
# With ten busy programs on two processors single rounds came to 1.0 to 1.25 times the least of them; what is
# beyond that is left for other processors and versions of Python.
ALLOWED = 1.5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--check", action="store_true", help="compare with what was recorded")
    chosen.add_argument("--record", action="store_true", help="write what is measured to guard.json")
    given = parser.parse_args()

    recorded: dict[str, Any] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    most = recorded["ratio"] * ALLOWED if given.check else 0.0
    ratio = measure(most)
    print(f"a record costs {ratio:.2f} times what it costs a plain loop")
    if given.record:
        RECORDED.write_text(json.dumps({"ratio": round(ratio, 2), **rounds.machine()}, indent=1) + "\n")
    if given.check and ratio > most:
        raise SystemExit(f"more than {ALLOWED} times the {recorded['ratio']:.2f} that were recorded")


def measure(most: float) -> float:
    """The least ratio of the rounds; stops at one that is not above `most`."""
    from nightmail.simulator.process import start
    from nightmail.tokens.tokenizer import tokenizer

    count = tokenizer("o200k_base")
    with tempfile.TemporaryDirectory(prefix="nightmail-guard-") as temporary, start() as server:
        folder = Path(temporary)
        source = folder / "input.jsonl"
        dataset.write(source, RECORDS)

        def cpu() -> float:
            return process.cpu_of_self_and_children(without=server.pid)

        def work(number: int) -> None:
            _run(source, folder / f"home-{number}", server.url)

        work(0)
        return least(work, lambda: _calibrate(source, count), cpu, rounds=ROUNDS, most=most)


def least(
    work: Callable[[int], None],
    calibration: Callable[[], None],
    cpu: Callable[[], float],
    *,
    rounds: int,
    most: float,
) -> float:
    """The least of the work's CPU over the calibration's, each the least so far; see `measure`."""
    works, calibrations = [], []
    for number in range(1, rounds + 1):
        began = cpu()
        calibration()
        middle = cpu()
        work(number)
        works.append(cpu() - middle)
        calibrations.append(middle - began)
        if min(works) / min(calibrations) <= most:
            break
    return min(works) / min(calibrations)


def _calibrate(source: Path, count: Callable[[str], int]) -> None:
    told = 0
    with source.open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            messages = job.messages(record)
            body = {"model": job.MODEL, "messages": messages, "response_format": job.RESPONSE_FORMAT}
            told += count(messages[1]["content"]) + len(json.dumps({"custom_id": record["id"], "body": body}))


def _run(source: Path, home: Path, url: str) -> None:
    from sections import Sections

    import nightmail
    from nightmail.worker import pool

    # The start of another process is no work for a record.
    pool.WORTH_ONE = sys.maxsize
    run = nightmail.run(
        Sections, source, home / "output.parquet", home=home, base_url=url, api_key="none",
        poll_interval=0.05,
    )  # fmt: skip
    run.wait()
    succeeded = run.summary["succeeded"]
    run.close()
    if succeeded != RECORDS:
        raise SystemExit(f"{succeeded} of {RECORDS} records succeeded; nothing is compared")


if __name__ == "__main__":
    main()
