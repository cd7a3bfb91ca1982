"""How many requests are in each state: counted in the transaction that moves them."""

from __future__ import annotations

from nightmail.core.failure import Reason
from nightmail.core.request import RequestState
from nightmail.stores.base import Tally
from nightmail.stores.database import Transaction


def add_tally(tx: Transaction, run_no: int, kind: str, name: str, n: int) -> None:
    if n:
        tx.run("ensure_tally", run_no=run_no, kind=kind, name=name)
        tx.run("add_tally", run_no=run_no, kind=kind, name=name, n=n)


def move_tally(tx: Transaction, run_no: int, old: RequestState, new: RequestState, n: int) -> None:
    """`n` requests went from one state to another."""
    add_tally(tx, run_no, "state", old, -n)
    add_tally(tx, run_no, "state", new, n)


def read_tally(tx: Transaction, run_no: int) -> Tally:
    rows = tx.rows("list_tallies", run_no=run_no)
    found: dict[str, dict[str, int]] = {"state": {}, "reason": {}, "again": {}}
    for row in rows:
        if row["n"]:
            found[row["kind"]][row["name"]] = row["n"]
    return Tally(
        states={RequestState(name): n for name, n in found["state"].items()},
        reasons={Reason(name): n for name, n in found["reason"].items()},
        again={Reason(name): n for name, n in found["again"].items()},
    )
