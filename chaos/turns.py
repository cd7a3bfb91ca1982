"""Two runs, two processes, one home and one queue: who goes first, and how they share."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import NamedTuple

from chaos.place import MODEL, PATIENCE, Place, Shown, place, seconds, summary

# Between a run's first batch being planned and its first question for room, another may still be sent.
MOMENT = 1.0


def urgent(folder: Path, *, records: int, quota: int, speed: float) -> Shown:
    """The urgent run's batches are in the next wave: while it has something to send, nobody else sends."""
    shown = Shown(f"an urgent run beside one of {records:,} records that fills the queue")
    with place(folder, speed=speed, quota=quota) as here:
        _both(here, records, quota, ["--priority", "5"], shown)
        first, second = _sent(here)
        planned = _planned(here)
        between = [each for each in first if planned + MOMENT < each.at < second[-1].at]
        shown.figures |= {
            "batches of the urgent run": len(second),
            "of the other": len(first),
            "seconds until its first batch went": round(second[0].at - planned, 1),
            "batches of the other that went meanwhile": len(between),
        }
        shown.must(not between, f"{len(between)} batches of the other run overtook the urgent one")
        shown.must(first[-1].at > second[-1].at, "nothing was left to overtake")
    return shown


def equal(folder: Path, *, records: int, quota: int, speed: float) -> Shown:
    """Both progress: on the mean each has half of what is enqueued, give or take a tenth."""
    shown = Shown(f"two equal runs of {records:,} records on one queue")
    with place(folder, speed=speed, quota=quota) as here:
        _both(here, records, quota, [], shown)
        first, second = _sent(here)
        # Both have something to send, and the second has had a wave's time to get its part.
        begin, end = second[len(second) // 4].at, min(first[-1].at, second[-1].at)
        held = [_held(sent, begin, end) for sent in (first, second)]
        share = held[1] / sum(held)
        shown.figures |= {
            "seconds in which both had work": round(end - begin, 1),
            "share of the run that came later": round(share, 3),
        }
        shown.must(0.4 <= share <= 0.6, f"the run that came later had {share:.0%}")
    return shown


def _both(here: Place, records: int, quota: int, options: list[str], shown: Shown) -> None:
    """Start one run, and the other when the queue is full of its batches."""
    here.write_rows(records)
    limits = ["--quota", f"{MODEL}={quota}"]
    players = [here.cast.start("first", *here.command(*limits))]
    end = time.monotonic() + PATIENCE
    while not _is_full(here, quota):
        shown.must(time.monotonic() < end and players[0].alive, "the first run never filled the queue")
        if shown.broken:
            return
        threading.Event().wait(0.1)
    players.append(here.cast.start("second", *here.command(*limits, *options, output="second.jsonl")))
    for player, output in zip(players, ("out.jsonl", "second.jsonl"), strict=True):
        player.process.wait(PATIENCE)
        told = summary(player)
        shown.must(told.get("succeeded") == records, f"{player.name}: {told}")
        shown.must(len(here.keys(output)) == records, f"{output} has {len(here.keys(output))} keys")
    peak = here.books()["peak_enqueued"].get(MODEL, 0)
    shown.figures |= {"quota": quota, "most enqueued": peak, "refused batches": here.failed_batches()}
    shown.must(peak <= quota, f"{peak:,} tokens were enqueued")
    shown.must(not here.failed_batches(), f"{here.failed_batches()} batches were refused")


def _is_full(here: Place, quota: int) -> bool:
    rows = here.rows_of("SELECT coalesce(sum(tokens), 0) FROM batches WHERE state = 'in_progress'")
    return bool(rows) and rows[0][0] > 0.8 * quota


class Sent(NamedTuple):
    """A batch's time at the provider, and its size."""

    at: float
    ended_at: float
    tokens: int


def _sent(here: Place) -> tuple[list[Sent], list[Sent]]:
    """The batches of either run, in the order of their sending."""
    rows = here.rows_of("SELECT run_no, submitted_at, ended_at, tokens FROM batches ORDER BY submitted_at")
    runs = sorted({row[0] for row in rows})
    first, second = (
        [Sent(seconds(at), seconds(ended), tokens) for run, at, ended, tokens in rows if run == each]
        for each in runs
    )
    return first, second


def _planned(here: Place) -> float:
    """When the second run's first batch was ready to go."""
    ((at,),) = here.rows_of(
        "SELECT min(created_at) FROM batches WHERE run_no = (SELECT max(run_no) FROM batches)"
    )
    return seconds(at)


def _held(sent: list[Sent], begin: float, end: float) -> float:
    """Token-seconds in the queue within a time."""
    return sum(max(0.0, min(each.ended_at, end) - max(each.at, begin)) * each.tokens for each in sent)
