"""`nightmail`, whose shards are done in other processes from the first record on: nights are too small for
that to pay, and it must hold all the same."""

from __future__ import annotations

import sys

from nightmail.cli.main import main
from nightmail.worker import pool

if __name__ == "__main__":
    pool.ENOUGH = 0
    sys.exit(main(sys.argv[1:]))
