"""One run of nightmail with default options, in a process of its own; tells its CPU by stage."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import job


def main() -> None:
    parser = job.arguments(__doc__)
    parser.add_argument("--poll-interval", type=float, help="seconds (nightmail's own rule)")
    parser.add_argument("--profile", type=Path, help="write a cProfile of each stage into this folder")
    parser.add_argument("--profile-rows", type=int, default=25)
    given = parser.parse_args()

    from meters import Meters, install
    from profiles import Profiles
    from sections import Sections

    import nightmail
    from nightmail.worker import pool

    if given.profile:
        # All of it here: what another process does is in no profile of this one.
        pool.ENOUGH = sys.maxsize
    meters = Profiles() if given.profile else Meters()
    install(meters)
    meters.add("start", time.process_time())
    run = nightmail.run(
        Sections, given.input, given.output, home=given.home, base_url=given.base_url, api_key="none",
        poll_interval=given.poll_interval,
    )  # fmt: skip
    run.wait()
    summary = run.summary
    run.close()
    if isinstance(meters, Profiles):
        meters.write(given.profile, rows=given.profile_rows)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    meters.add("processes", ended.ru_utime + ended.ru_stime)
    told = {
        "stages": dict(meters.seconds),
        "records": summary["records"],
        "succeeded": summary["succeeded"],
        "input_tokens": summary["input_tokens"],
    }
    given.told.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
