"""What is promised, shown with real processes, real HTTP, and the simulator's books.

The long versions are `make promises`.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from chaos.bill import owed
from chaos.place import MODEL, Place, place, summary

from chaos import killing

pytestmark = pytest.mark.end_to_end


def executed(books: dict[str, Any]) -> Counter[str]:
    """How often each of our batches was executed."""
    return Counter(row["metadata"]["nightmail_batch"] for row in books["batches"] if row["requests"])


def every_key_once(here: Place, count: int) -> None:
    assert here.keys() == dict.fromkeys(range(1, count + 1), 1)


# Where a create answer is lost, the run's end waits for the quarantine, and nothing else does.
HASTY = ("hasty",)


def test_when_every_create_answer_is_lost_one_batch_is_executed(tmp_path: Path) -> None:
    lost = [{"kind": "create_lost"}]
    with place(tmp_path, timing="instant", faults=lost, changes=HASTY) as here:
        here.write_rows(20)
        player = here.run(here.command())

        told, books = summary(player), here.books()
        assert (player.process.returncode, told["succeeded"]) == (0, 20)
        every_key_once(here, 20)
        assert books["struck"]["create_lost"] == told["batches"] == 1
        assert set(executed(books).values()) == {1}
        assert books["totals"]["requests"] == 20
        assert Decimal(told["cost_usd"]) == owed(books)


def test_when_every_create_call_is_repeated_on_its_way_the_second_batch_is_ended_and_booked(
    tmp_path: Path,
) -> None:
    """Also where the first that the list shows has been adopted long before the other is listed."""
    repeated = [{"kind": "create_lost", "times": 2}, {"kind": "list_lags", "batch": 2, "seconds": 5}]
    with place(tmp_path, timing="instant", faults=repeated, changes=HASTY) as here:
        here.write_rows(20)
        player = here.run(here.command())

        told, books = summary(player), here.books()
        assert (player.process.returncode, told["succeeded"]) == (0, 20)
        every_key_once(here, 20)
        assert sum(here.simulator.get("/_simulator/state")["batches"].values()) == 2
        # What the second one did before it ended is up to the machine's haste: mostly nothing.
        assert Decimal(told["cost_usd"]) == owed(books)
        doctor = here.run(["doctor", "--json"])
        assert summary(doctor)["findings"] == []


def test_when_every_batch_expires_half_done_each_success_is_paid_once(tmp_path: Path) -> None:
    half = [{"kind": "expire", "share": 0.5}]
    with place(tmp_path, timing="instant", faults=half) as here:
        here.write_rows(100)
        player = here.run(here.command())

        told, books = summary(player), here.books()
        assert player.process.returncode == 1
        assert (told["succeeded"], told["failed"]) == (99, 1)
        assert told["failures_by_reason"] == {"expired": 1}, "of one request, half is none"
        assert len(here.keys()) == 99
        assert books["totals"]["requests"] == 99
        assert here.simulator.get("/_simulator/books/requests?above=1") == {}
        assert Decimal(told["cost_usd"]) == owed(books)
        (attempts,) = here.rows_of("SELECT max(attempts) FROM requests WHERE state = 'succeeded'")
        assert attempts == (1,)
        (burnt,) = here.rows_of("SELECT attempts FROM requests WHERE state = 'failed'")
        assert burnt == (0,)


@pytest.mark.parametrize("mode", ["batch", "sync"])
def test_half_the_money_is_not_overspent_says_why_and_more_finishes(tmp_path: Path, mode: str) -> None:
    with place(tmp_path, timing="instant") as here:
        here.write_rows(200)
        command = here.command("--mode", mode, "--quota", f"{MODEL}=10000000")
        planned = summary(here.run(["plan", *command[1:4], "--mode", mode, "--json"]))
        expected = planned["cost_usd"]["expected"]
        half = Decimal(expected) / 2

        stopped = here.run([*command, "--budget", f"{half:f}"])
        told = summary(stopped)
        spent = Decimal(told["cost_usd"])
        assert (stopped.process.returncode, told["state"]) == (3, "paused")
        assert 0 < told["succeeded"] < 200
        assert 0 < spent <= half
        assert spent == owed(here.books())
        said = stopped.err.read_text()
        assert f"{told['cost_usd']} USD are spent" in said
        assert f"{told['open']:,} requests wait, nothing is lost" in said
        assert f"nightmail resume {told['run_id']} --budget USD" in said

        gone_on = here.run(["resume", told["run_id"], "--budget", f"{Decimal(expected) * 2:f}", "--json"])
        told = summary(gone_on)
        assert (gone_on.process.returncode, told["state"], told["succeeded"]) == (0, "finished", 200)
        every_key_once(here, 200)
        assert Decimal(told["cost_usd"]) == owed(here.books())


def test_killed_five_times_it_comes_to_its_end_and_executes_nothing_twice(tmp_path: Path) -> None:
    shown = killing.by_batch(tmp_path, records=2_000, kills=5, seed=30, speed=100, changes=HASTY)
    assert shown.broken == []


def test_killed_among_its_calls_it_pays_again_only_what_was_on_its_way(tmp_path: Path) -> None:
    assert killing.by_calls(tmp_path, records=2_000, kills=3, seed=31).broken == []
