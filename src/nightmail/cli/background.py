"""A worker in the background, for `--detach`: a process of its own that outlives this one.

It finds its key in the environment, as we did; nothing secret is on its command line. What it says goes
to `logs/RUN.log` in the home.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from nightmail.cli.exits import Exit
from nightmail.cli.terminal import Terminal
from nightmail.client import Client
from nightmail.core.progress import summary
from nightmail.core.run import RunState
from nightmail.errors import ConfigError, InternalError, NightmailError, ProviderError

# A worker that cannot start at all (no key, no server) says so within this time.
EARLY_END = 5.0
LOOK_EVERY = 0.1
# What the worker met, by its exit code: ours is then the same.
_WHY: dict[int, type[NightmailError]] = {Exit.USAGE: ConfigError, Exit.UNREACHABLE: ProviderError}


async def start_worker(client: Client, run_id: str, terminal: Terminal) -> Exit:
    """Start the process and return once it is at work; if it ends at once, tell why instead."""
    log = client.settings.home / "logs" / f"{run_id}.log"
    process = _spawn(client.settings.home, run_id, log)
    code = await _early_end(client, run_id, process)
    if code is not None and code not in (Exit.DONE, Exit.FAILURES, Exit.NOT_AT_END):
        raise _WHY.get(code, InternalError)(f"{_last_words(log)} (the worker's log is {log})")
    status = await client.status(run_id)
    terminal.say(
        f"detached: {run_id} is worked on by process {process.pid}, which writes to {log}",
        f"look at it with: {terminal.command('watch', run_id)}",
    )
    terminal.give({**summary(status), "pid": process.pid, "log": str(log)})
    return Exit.NOT_AT_END


def _spawn(home: Path, run_id: str, log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "nightmail", "worker", "--home", str(home), "--run", run_id]
    # The package may be imported from a source tree that is not installed; the child imports the same.
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with log.open("ab") as said:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=environment,
            start_new_session=True,
        )


async def _early_end(client: Client, run_id: str, process: subprocess.Popen[bytes]) -> int | None:
    """The exit code if the worker ends at once; None once it is seen to be at work, or after a while."""
    before = await client.status(run_id)
    until = time.monotonic() + EARLY_END
    while time.monotonic() < until:
        try:
            return await asyncio.to_thread(process.wait, LOOK_EVERY)
        except subprocess.TimeoutExpired:
            pass
        try:
            now = await client.status(run_id)
        except ConfigError:
            # The worker found the input to be wrong and took the run away; it will end in a moment.
            continue
        if now.batches > before.batches or now.state is RunState.PAUSED:
            return None
    return None


def _last_words(log: Path) -> str:
    """The last line that it wrote, which is what it ended with."""
    lines = log.read_text(errors="replace").rstrip("\n").split("\n")
    return lines[-1].removeprefix("error: ") or "the worker ended at once"
