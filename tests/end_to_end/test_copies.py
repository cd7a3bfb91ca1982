"""Ten thousand records with two thousand different requests, by the command, at the simulator."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nightmail.config import read_prices
from nightmail.core.pricing import cost_pusd, parse_usd, price_of
from nightmail.core.request import Mode
from nightmail.core.usage import Usage
from nightmail.simulator import process
from tests.end_to_end.command import Folder

pytestmark = pytest.mark.end_to_end
RECORDS, DIFFERENT = 10_000, 2_000


def test_two_thousand_requests_are_sent_and_paid_for_ten_thousand_rows(tmp_path: Path) -> None:
    rows = (
        {"id": n, "short": f"package {n * 7 % DIFFERENT} for games", "body": "plays over the net"}
        for n in range(RECORDS)
    )
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with process.start() as server:
        folder = Folder(tmp_path, server=server.url)
        planned = folder.nightmail("plan", "sections.py", "--input", "rows.jsonl", "--json").result
        ended = folder.nightmail(
            "run", "sections.py", "--input", "rows.jsonl", "--output", "out.parquet", "--json",
            "--poll-interval", "0.1", "--max-batch-requests", "700",
        )  # fmt: skip
        (bill,) = server.get("/_simulator/books")["bill"].values()
        audit = folder.nightmail("doctor", "--json")
    assert ended.code == 0, ended.err
    assert (planned["requests"], planned["copies"]) == (DIFFERENT, RECORDS - DIFFERENT)
    told = ended.result
    assert (told["records"], told["succeeded"], told["failed"], told["open"]) == (RECORDS, RECORDS, 0, 0)
    assert told["requests_sent"] == bill["batch"]["requests"] == DIFFERENT
    assert told["copies"] == RECORDS - DIFFERENT
    price = price_of("gpt-4o-mini", read_prices(None))
    used = Usage(bill["batch"]["input_tokens"], bill["batch"]["output_tokens"])
    cost = parse_usd(told["cost_usd"])
    assert cost == cost_pusd(used, price, mode=Mode.BATCH)
    # Each request is there five times.
    assert parse_usd(told["copies_saved_usd"]) == 4 * cost
    out = pq.read_table(tmp_path / "out.parquet")
    assert out.column("id").to_pylist() == list(range(RECORDS))
    assert sum(out.column("_attempts").to_pylist()) == DIFFERENT
    answers: dict[int, set[str]] = {}
    for number, why in zip(out.column("id").to_pylist(), out.column("why").to_pylist(), strict=True):
        answers.setdefault(number * 7 % DIFFERENT, set()).add(why)
    assert len(answers) == DIFFERENT
    assert all(len(each) == 1 for each in answers.values())
    assert audit.code == 0, audit.out
