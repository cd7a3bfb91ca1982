"""`nightmail` with something changed, where the real thing would not be seen or would be waited for too long.

python -m chaos.changed pooled,hasty COMMAND...
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta

from nightmail.cli.main import main
from nightmail.core import polling, recovery
from nightmail.worker import pool


def pooled() -> None:
    """Shards are done in other processes from the first record on: nights are too small for that to pay, and
    it must hold all the same."""
    pool.WORTH_ONE = pool.WORTH_ALL = 0


def hasty() -> None:
    """A short quarantine, for a provider on this machine that answers within seconds: the end of a run whose
    create answer was lost comes sooner so, nothing else does."""
    recovery.QUARANTINE = timedelta(seconds=12)


def gullible() -> None:
    """What the provider says it does not know is believed to be lost after a minute, not an hour: nights wait
    for it by the clock."""
    polling.LOST_AFTER = polling.GRACE


CHANGES: dict[str, Callable[[], None]] = {"pooled": pooled, "hasty": hasty, "gullible": gullible}

if __name__ == "__main__":
    for change in sys.argv[1].split(","):
        CHANGES[change]()
    sys.exit(main(sys.argv[2:]))
