"""`nightmail schedule`, in real processes: what is asked twice, what is told, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightmail.simulator import process
from tests.end_to_end.command import Folder

pytestmark = pytest.mark.end_to_end


def test_each_run_of_a_schedule_asks_what_is_new(tmp_path: Path) -> None:
    with process.start() as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        folder.write_rows("rows.jsonl", 20)
        added = folder.nightmail(
            "schedule", "add", "nightly", "sections.py", "--cron", "0 2 * * *", "--input", "rows.jsonl",
            "--time-zone", "Europe/Berlin", "--output", "{date}.jsonl", "--poll-interval", "0.1", "--json",
        )  # fmt: skip
        assert (added.code, added.result["name"], added.result["cron"]) == (0, "nightly", "0 2 * * *")

        first = folder.nightmail("schedule", "run", "nightly", "--json")
        assert (first.code, first.result["succeeded"], first.result["unchanged"]) == (0, 20, 0), first.err
        rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
        rows[3]["body"] = "changed"
        folder.write(
            "rows.jsonl", "".join(json.dumps(row) + "\n" for row in [*rows, {**rows[0], "id": "new"}])
        )

        second = folder.nightmail("schedule", "run", "nightly", "--json")
        assert (second.result["succeeded"], second.result["unchanged"]) == (2, 19), second.err
        assert "2 succeeded, 0 failed, 0 missing, 19 unchanged left out" in second.err
        assert simulator.get("/_simulator/books")["totals"]["requests"] == 22
    first_output, second_output = (tmp_path / Path(run.result["output"]).name for run in (first, second))
    assert first_output != second_output
    assert [json.loads(line)["id"] for line in second_output.read_text().splitlines()] == ["p3", "new"]
