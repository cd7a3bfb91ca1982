"""One run of nightmail with default options, in a process of its own; prints its measurements as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--profile", type=Path, help="write a cProfile of each stage into this folder")
    parser.add_argument("--profile-rows", type=int, default=25)
    given = parser.parse_args()

    from meters import Meters, install
    from process import own_cpu_seconds, peak_rss
    from profiles import Profiles
    from sections import Sections

    import nightmail

    meters = Profiles() if given.profile else Meters()
    install(meters)
    meters.add("start", time.process_time())
    run = nightmail.run(
        Sections, given.input, given.output, home=given.home, base_url=given.base_url, api_key="none"
    )
    run.wait()
    summary = run.summary
    run.close()
    if isinstance(meters, Profiles):
        meters.write(given.profile, rows=given.profile_rows)
    cpu = own_cpu_seconds()
    meters.add("rest", cpu - sum(meters.seconds.values()))
    told = {
        "cpu_seconds": cpu,
        "stages": dict(meters.seconds),
        "peak_rss": peak_rss(),
        "records": summary["records"],
        "succeeded": summary["succeeded"],
        "failed": summary["failed"],
        "batches": summary["batches"],
        "input_tokens": summary["input_tokens"],
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
