"""`nightmail run` with default options, in a process of its own; `--stages` tells the CPU of each stage."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import job

HERE = Path(__file__).parent


def main() -> None:
    parser = job.arguments(__doc__)
    parser.add_argument("--poll-interval", type=float, help="seconds (nightmail's own rule)")
    # What is measured is imported first, and wrapped: a tenth of a second.
    parser.add_argument("--stages", action="store_true", help="tell the CPU seconds of each stage")
    parser.add_argument("--profile", type=Path, help="write a cProfile of each stage into this folder")
    parser.add_argument("--profile-rows", type=int, default=25)
    given = parser.parse_args()

    named = {"input": given.input, "output": given.output, "home": given.home, "base-url": given.base_url}
    options = [f"--{name}={value}" for name, value in named.items()] + ["--json"]
    if given.poll_interval is not None:
        options += ["--poll-interval", str(given.poll_interval)]
    said, stages = io.StringIO(), dict[str, float]()
    measuring: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if given.stages or given.profile:
        measuring = _measured(stages, given.profile, given.profile_rows)
    with contextlib.redirect_stdout(said), measuring:
        from nightmail.__main__ import main as nightmail

        code = nightmail(["run", str(HERE / "sections.py"), *options])
    if code:
        raise SystemExit(code)
    summary = json.loads(said.getvalue())
    told = {name: summary[name] for name in ("records", "succeeded", "input_tokens")}
    given.told.write_text(json.dumps(told | ({"stages": stages} if stages else {})))


@contextlib.contextmanager
def _measured(stages: dict[str, float], profile: Path | None, rows: int) -> Iterator[None]:
    """Adds to `stages` what each took meanwhile; with `profile` writes what is in it."""
    import resource
    import time

    from meters import Meters, install
    from profiles import Profiles

    from nightmail.worker import pool

    if profile:
        # All of it here: what another process does is in no profile of this one.
        pool.WORTH_ONE = sys.maxsize
    meters = Profiles() if profile else Meters()
    install(meters)
    meters.add("start", time.process_time())
    yield
    if profile and isinstance(meters, Profiles):
        meters.write(profile, rows=rows)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    meters.add("processes", ended.ru_utime + ended.ru_stime)
    stages.update(meters.seconds)


if __name__ == "__main__":
    main()
