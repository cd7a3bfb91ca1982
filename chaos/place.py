"""Where a promise is shown: a folder, a simulator, nightmail as processes, and the books of both sides."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from chaos.mischief import Cast, Player, environment
from chaos.rows import WORDS
from nightmail.simulator.process import SimulatorProcess, start

TASKS = Path(__file__).with_name("tasks.py")
MODEL = "gpt-4o-mini"
KEY = "sk-shown-not-a-real-key"
# What the longest of them may take on a slow machine.
PATIENCE = 1_800.0


@dataclass(slots=True)
class Shown:
    """What was to be shown: the figures in the order of their telling, and what was not as promised."""

    title: str
    figures: dict[str, object] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def must(self, holds: bool, otherwise: str) -> None:
        """Note `otherwise` unless it is so."""
        if not holds:
            self.broken.append(otherwise)


@dataclass(frozen=True, slots=True)
class Place:
    """A folder in which one simulator and any number of nightmail processes work."""

    folder: Path
    simulator: SimulatorProcess
    cast: Cast

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def write_rows(self, count: int, *, words: tuple[int, int] = (5, 25)) -> None:
        """`rows.jsonl`, with keys 1 to `count` and texts of so many words."""
        chance = random.Random(count)
        with (self.folder / "rows.jsonl").open("w", encoding="utf-8") as file:
            for key in range(1, count + 1):
                text = " ".join(chance.choices(WORDS, k=chance.randint(*words)))
                file.write(json.dumps({"id": key, "text": text}) + "\n")

    def command(self, *options: str, output: str = "out.jsonl") -> list[str]:
        """`nightmail run` of the rows, told as one JSON object."""
        return [
            "run", f"{TASKS}:Labels", "--input", "rows.jsonl", "--output", output, "--json", *options
        ]  # fmt: skip

    def run(self, command: Sequence[str]) -> Player:
        """A command, waited for."""
        return self.cast.finish(command[0], *command, seconds=PATIENCE)

    def keys(self, output: str = "out.jsonl") -> Counter[int]:
        """How often each key is in an output; none if there is no output."""
        path = self.folder / output
        if not path.exists():
            return Counter()
        with path.open(encoding="utf-8") as file:
            return Counter(json.loads(line)["id"] for line in file)

    def books(self) -> dict[str, Any]:
        """The simulator's books."""
        found: dict[str, Any] = self.simulator.get("/_simulator/books")
        return found

    def failed_batches(self) -> int:
        """Batches that the simulator has refused."""
        return int(self.simulator.get("/_simulator/state")["batches"].get("failed", 0))

    def rows_of(self, query: str) -> list[tuple[Any, ...]]:
        """A query to the home's database; nothing while there is none."""
        path = self.home / "nightmail.db"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError:
                return []  # its first tables are being made


def summary(player: Player) -> dict[str, Any]:
    """The one JSON object that a command gave; empty if it gave none."""
    try:
        found: dict[str, Any] = json.loads(player.output())
    except json.JSONDecodeError:
        return {}
    return found


def seconds(moment: str) -> float:
    """A time of the database, in seconds since 1970."""
    return datetime.fromisoformat(moment).timestamp()


@contextlib.contextmanager
def place(
    folder: Path,
    *,
    timing: str = "realistic",
    speed: float = 1.0,
    seed: int = 0,
    quota: int | None = None,
    faults: Sequence[Mapping[str, Any]] = (),
    changes: tuple[str, ...] = (),
) -> Iterator[Place]:
    """A place for the time of a `with`; `quota` holds for the model of the tasks, `changes` as in `Cast`."""
    folder.mkdir(parents=True, exist_ok=True)
    with start(
        state=folder / "simulator", faults=faults, seed=seed, quotas={MODEL: quota} if quota else None,
        options=["--timing", timing, "--speed", str(speed), "--processes", "1"],
    ) as simulator:  # fmt: skip
        cast = Cast(folder, environment(url=simulator.url, key=KEY, home=folder / "home"), changes)
        try:
            yield Place(folder, simulator, cast)
        finally:
            cast.kill_all()
