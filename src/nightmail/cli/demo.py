"""`nightmail demo`: the whole way in a minute, without a key and without the network.

The provider is the simulator, as a process of its own; the records are the docstrings of the standard
library. Some answers are spoiled on the way, and one batch expires, because that is what nights are like.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.terminal import Terminal
from nightmail.core import wording as figures
from nightmail.errors import ConfigError

if TYPE_CHECKING:
    from nightmail.client import Client
    from nightmail.core.progress import RunStatus
    from nightmail.simulator.process import SimulatorProcess

TASK = "nightmail.cli.demo_task:Topics"
PORT = 8687
QUOTA = {"gpt-4o-mini": 500_000}
POLL_EVERY = 0.5
# Compresses a provider's night into half a minute.
SPEED = 60
FAULTS: dict[str, Any] = {
    "truncated_output": 0.003,
    "schema_break": 0.002,
    "malformed_output": 0.001,
    "refusal": 0.0012,
    "missing_lines": 0.001,
    "line_error": [{"probability": 0.002, "status": 500}, {"probability": 0.0004, "status": 400}],
    "expire": [{"batch": 3, "share": 0.8}],
}
NEXT = (
    "next: write your own task (docs/tutorial.md), set OPENAI_API_KEY, and",
    "      nightmail run my_task.py --input my_rows.csv --output answers.parquet",
)


def demo(
    retry: Annotated[bool, typer.Option("--retry", help="Ask again what failed in an earlier demo.")] = False,
    home: o.Home = None,
    json: o.Json = False,
) -> int:
    """See it all in a minute, without a key: a simulated provider and real text found on this machine."""
    from nightmail import config

    terminal = Terminal(json=json)
    # What goes wrong in it goes wrong on purpose, and is in the summary.
    logging.getLogger("nightmail").setLevel(logging.ERROR)
    folder = config.read(home=home).home / "demo"
    return asyncio.run(_demo(folder, terminal, retry=retry))


async def _demo(folder: Path, terminal: Terminal, *, retry: bool) -> Exit:
    from nightmail.cli.outcome import already_line, is_output_gone
    from nightmail.client import Client
    from nightmail.core.progress import summary

    dataset, output = folder / "docstrings.parquet", folder / "topics.parquet"
    earlier = await _earlier(folder)
    if earlier is not None and not retry and not is_output_gone(earlier):
        terminal.say(already_line(earlier, "demo"))
        terminal.give(summary(earlier))
        return Exit.DONE
    if retry and (earlier is None or not earlier.failed):
        terminal.say(
            "demo: nothing has failed that could be asked again" if earlier else "demo: not finished yet"
        )
        return Exit.DONE
    with _simulator(folder) as simulator:
        terminal.note(
            f"simulator   listening on {simulator.root.removeprefix('http://')} "
            "(nothing leaves this machine, answers are simulated)"
        )
        async with Client(folder, base_url=simulator.url, api_key="simulated") as client:
            if retry:
                await client.retry()
                run_id: str = (await client.status()).run_id
            else:
                run_id = await _start(client, dataset, output, terminal)
            return await _finish(client, run_id, dataset, terminal)


async def _earlier(folder: Path) -> RunStatus | None:
    """The demo's run if it has been finished."""
    from nightmail.cli.outcome import is_over
    from nightmail.client import Client

    async with Client(folder, api_key="simulated") as client:
        runs = await client.runs()
    return runs[-1] if runs and is_over(runs[-1]) else None


async def _start(client: Client, dataset: Path, output: Path, terminal: Terminal) -> str:
    number = await asyncio.to_thread(_dataset, dataset)
    terminal.note(
        f"dataset     {figures.count(number)} docstrings of the Python standard library -> {_short(dataset)}"
    )
    plan = await client.plan(TASK, dataset, quotas=QUOTA)
    (quota,) = QUOTA.values()
    terminal.note(
        f"plan        {figures.plural(plan.records, 'record')}, {figures.tokens(plan.tokens)} tokens "
        f"(mean {plan.tokens_mean:.0f}), {figures.plural(plan.batches, 'batch')}, "
        f"{figures.plural(plan.waves, 'wave')} under a quota of {figures.count(quota)} tokens",
        f"            estimated {figures.money(plan.cost.expected)} by batch, "
        f"{figures.money(plan.sync_cost.expected)} synchronous (gpt-4o-mini prices of {plan.prices_of})",
        "",
    )
    started = await client.start(TASK, dataset, output, quotas=QUOTA, poll_interval=POLL_EVERY)
    return started.run_id


def _dataset(path: Path) -> int:
    """How many texts are in the dataset, which is written if it isn't there."""
    from nightmail.cli.demo_data import read_topics, write_dataset

    return len(read_topics(path)) if path.exists() else write_dataset(path)


async def _finish(client: Client, run_id: str, dataset: Path, terminal: Terminal) -> Exit:
    from nightmail.cli.attend import detaching, exit_of_run, watched_work
    from nightmail.cli.outcome import counts, is_over, money_lines
    from nightmail.core.progress import summary

    with detaching(client.stop, terminal):
        status = await watched_work(client, run_id, terminal)
    if not is_over(status):
        terminal.say("the demo stays as it is; the same command again goes on with it")
        terminal.give(summary(status))
        return exit_of_run(status)
    right = await _accuracy(client, run_id, dataset)
    took = f" in {figures.duration(status.finished_at - status.created_at)}" if status.finished_at else ""
    terminal.say(
        f"finished{took}: {counts(status)}",
        *money_lines(status),
        f"accuracy {right:.2f} against the true topic (simulated answers: words in common, no understanding)",
        f"outputs   {_short(Path(status.output or ''))}",
    )
    if status.failures is not None:
        terminal.say(f"failures  {_short(Path(status.failures))}     nightmail demo --retry asks them again")
    terminal.say("", *NEXT)
    terminal.give({**summary(status), "accuracy": round(right, 4), "accuracy_of": "simulated answers"})
    # Failed records belong to the demonstration.
    return Exit.DONE


async def _accuracy(client: Client, run_id: str, dataset: Path) -> float:
    """The share of outputs whose topic is that of the text's module."""
    from nightmail.cli.demo_data import read_topics

    true = await asyncio.to_thread(read_topics, dataset)
    table = await client.outputs(run_id)
    ids, topics = table["id"].to_pylist(), table["topic"].to_pylist()
    right = sum(true[key] == topic for key, topic in zip(ids, topics, strict=True))
    share: float = right / max(1, len(ids))
    return share


@contextlib.contextmanager
def _simulator(folder: Path) -> Iterator[SimulatorProcess]:
    """The simulator on the port that it had before: an unfinished demo has batches there."""
    from nightmail.simulator import process

    folder.mkdir(parents=True, exist_ok=True)
    remembered = folder / "port"
    port = _port(remembered)
    with process.start(
        state=folder / "simulator",
        faults=FAULTS,
        quotas=QUOTA,
        options=("--port", str(port), "--timing", "realistic", "--speed", str(SPEED)),
    ) as simulator:
        remembered.write_text(simulator.root.rpartition(":")[2])
        yield simulator


def _port(remembered: Path) -> int:
    """The port of an earlier start, which must be free; else the usual one, or 0 for any if it is taken."""
    if remembered.exists():
        port = int(remembered.read_text())
        if not _is_free(port):
            raise ConfigError(
                f"the demo has begun on port {port}, which another program uses now; "
                f"free the port, or delete {remembered.parent} to begin anew"
            )
        return port
    return PORT if _is_free(PORT) else 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are only fading away is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _short(path: Path) -> str:
    """Relative to where we are, if it is below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
