"""`kill -9` at random moments, the same command again each time, until the run is over."""

from __future__ import annotations

import random
import threading
from decimal import Decimal
from pathlib import Path

from chaos.bill import owed
from chaos.place import MODEL, Place, Shown, place, summary
from nightmail.core.throttle import MOST


def by_batch(
    folder: Path, *, records: int, kills: int, seed: int, speed: float = 40, changes: tuple[str, ...] = ()
) -> Shown:
    """Batches at a provider that loses create answers and lets some batches expire half done."""
    shown = Shown(f"{kills} times kill -9 in a run of {records:,} records by batch, seed {seed}")
    # About eight waves, so that there is always something on its way.
    quota = max(20_000, records * 105 // 8)
    faults = [
        {"kind": "create_lost", "probability": 0.2},
        {"kind": "expire", "probability": 0.1, "share": 0.5},
    ]
    with place(folder, speed=speed, seed=seed, quota=quota, faults=faults, changes=changes) as here:
        here.write_rows(records)
        command = here.command("--quota", f"{MODEL}={quota}")
        _kill(here, command, kills, seed, shown)
        _judge(here, command, records, shown)
        twice = here.simulator.get("/_simulator/books/requests?above=1")
        books = here.books()
        by_intent: dict[str, int] = {}
        for batch in books["batches"]:
            if batch["requests"]:
                name = batch["metadata"]["nightmail_batch"]
                by_intent[name] = by_intent.get(name, 0) + 1
        again = [name for name, count in by_intent.items() if count > 1]
        shown.figures |= {
            "batches executed": len(books["batches"]),
            "of these expired": sum(batch["status"] == "expired" for batch in books["batches"]),
            "create answers lost": books["struck"].get("create_lost", 0),
            "requests executed twice": len(twice),
            "batches executed twice": len(again),
        }
        shown.must(not twice, f"{len(twice)} requests were executed twice: {list(twice)[:4]}")
        shown.must(not again, f"batches executed twice: {again[:4]}")
        shown.must(not here.failed_batches(), "the provider refused batches")
    return shown


def by_calls(folder: Path, *, records: int, kills: int, seed: int) -> Shown:
    """The same in mode `sync`, where what was on its way at a death may be paid twice."""
    shown = Shown(f"{kills} times kill -9 in a run of {records:,} records by calls, seed {seed}")
    slow = [{"kind": "slow", "route": "chat", "seconds": 1.0, "probability": 0.5}]
    with place(folder, timing="instant", seed=seed, faults=slow) as here:
        here.write_rows(records)
        command = here.command("--mode", "sync")
        # Calls are answered at once here: with the times of a run by batch it is over after some kills.
        _kill(here, command, kills, seed, shown, longest=1.3)
        _judge(here, command, records, shown, lost_at_most=kills * int(MOST))
    return shown


def _kill(
    here: Place, command: list[str], kills: int, seed: int, shown: Shown, *, longest: float = 3.5
) -> None:
    """Start the command again and again; kill it each time, after a time between none and so many seconds,
    its start included."""
    chance = random.Random(seed)
    done = 0
    while done < kills:
        player = here.cast.start("run", *command)
        threading.Event().wait(chance.uniform(0.3, longest))
        if not player.alive:
            break
        here.cast.kill(player)
        done += 1
    shown.figures["kills"] = done
    shown.must(done == kills, f"the run was over after {done} kills")


def _judge(here: Place, command: list[str], records: int, shown: Shown, *, lost_at_most: int = 0) -> None:
    player = here.run(command)
    told = summary(player)
    shown.must(player.process.returncode == 0, f"exit code {player.process.returncode}: {told}")
    keys = here.keys()
    twice = [key for key, count in keys.items() if count > 1]
    books = here.books()
    bill, cost = owed(books), Decimal(told.get("cost_usd", "0"))
    calls = sum(used["calls"] for used in books["calls"].values())
    answers = books["totals"]["requests"] + calls
    shown.figures |= {
        "records in the output": len(keys),
        "more than once": len(twice),
        "answers billed": answers,
        "cost_usd": cost,
        "the simulator's bill": bill,
    }
    shown.must(set(keys) == set(range(1, records + 1)), f"{len(keys)} of {records} keys in the output")
    shown.must(not twice, f"keys more than once: {twice[:4]}")
    if lost_at_most:
        shown.figures["answers nobody received"] = answers - records
        shown.must(answers - records <= lost_at_most, f"{answers - records} calls were made again")
        shown.must(cost <= bill, "more was booked than billed")
    else:
        shown.must(cost == bill, f"we say {cost}, the bill is {bill}")
