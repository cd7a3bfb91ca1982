"""Modes and deadlines, with real processes: what was paid is what the simulator says."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from chaos.bill import owed

from nightmail.simulator import process
from tests.end_to_end.command import Folder
from tests.end_to_end.test_command_line import adds_up, keys_in

pytestmark = pytest.mark.end_to_end

RUN = (
    "run",
    "sections.py",
    "--input",
    "rows.jsonl",
    "--output",
    "out.parquet",
    "--poll-interval",
    "0.1",
    "--json",
)


def test_a_deadline_ends_a_stuck_batch_and_calls_the_rest(tmp_path: Path) -> None:
    with process.start(faults={"stuck": True}) as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        folder.write_rows("rows.jsonl", 40)

        ended = folder.nightmail(*RUN, "--model", "gpt-5-mini", "--deadline", "12s")

        assert ended.code == 0, ended.err
        assert adds_up(ended.result)
        assert ended.result["hurried"] is True
        assert sorted(keys_in(folder.path / "out.parquet")) == sorted(f"p{n}" for n in range(40))
        books = simulator.get("/_simulator/books")
        # By flex or, if this machine is slow, in the last stretch: by calls, and each of them once.
        assert sum(used["requests"] for used in books["bill"]["gpt-5-mini"].values()) == 40
        # On a very slow machine the time was up before there was a batch.
        assert [(b["status"], b["requests"]) for b in books["batches"]] in ([("cancelled", 0)], [])
        assert Decimal(ended.result["cost_usd"]) == owed(books)


def test_flex_costs_what_a_batch_costs(tmp_path: Path) -> None:
    with process.start(faults={"flex_unavailable": {"first": 3}}) as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        folder.write_rows("rows.jsonl", 40)

        ended = folder.nightmail(*RUN, "--model", "gpt-5-mini", "--mode", "flex")

        assert ended.code == 0, ended.err
        assert Decimal(ended.result["cost_usd"]) == owed(simulator.get("/_simulator/books"))
        assert ended.result["savings_usd"] == ended.result["cost_usd"]


def test_a_model_without_flex_is_told_and_nothing_is_paid(tmp_path: Path) -> None:
    with process.start() as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        folder.write_rows("rows.jsonl", 40)

        ended = folder.nightmail(*RUN, "--mode", "flex")

        assert ended.code == 2
        assert "Flex is not available for the model `gpt-4o-mini`. Choose" in ended.err
        assert "--mode batch" in ended.err
        assert owed(simulator.get("/_simulator/books")) == 0


def test_auto_calls_forty_records_and_batches_four_hundred(tmp_path: Path) -> None:
    with process.start() as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        for count, batches in ((40, 0), (400, 1)):
            folder.write_rows("rows.jsonl", count)
            ended = folder.nightmail(*RUN, "--mode", "auto", "--new")
            assert ended.code == 0, ended.err
            assert len(simulator.get("/_simulator/books")["batches"]) == batches
