"""`nightmail run` with default options, in a process of its own; tells its CPU by stage."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import time
from pathlib import Path

import job

HERE = Path(__file__).parent


def main() -> None:
    parser = job.arguments(__doc__)
    parser.add_argument("--poll-interval", type=float, help="seconds (nightmail's own rule)")
    parser.add_argument("--profile", type=Path, help="write a cProfile of each stage into this folder")
    parser.add_argument("--profile-rows", type=int, default=25)
    given = parser.parse_args()

    from meters import Meters, install
    from profiles import Profiles

    from nightmail.cli.main import main as nightmail
    from nightmail.worker import pool

    if given.profile:
        # All of it here: what another process does is in no profile of this one.
        pool.WORTH_ONE = sys.maxsize
    meters = Profiles() if given.profile else Meters()
    install(meters)
    meters.add("start", time.process_time())
    named = {"input": given.input, "output": given.output, "home": given.home, "base-url": given.base_url}
    options = [f"--{name}={value}" for name, value in named.items()] + ["--json"]
    if given.poll_interval is not None:
        options += ["--poll-interval", str(given.poll_interval)]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = nightmail(["run", str(HERE / "sections.py"), *options])
    if code:
        raise SystemExit(code)
    summary = json.loads(said.getvalue())
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
