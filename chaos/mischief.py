"""What is done to processes: started, killed, stopped and set going again, told to end.

Every process is one of ours by its id. What it wrote stays in `logs/`, a pair of files for each.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos.scenario import Deed
from nightmail.errors import NightmailError
from nightmail.simulator.process import SimulatorProcess

TERMINATE_SECONDS = 40.0


@dataclass(slots=True)
class Player:
    """One nightmail process. `fate` says how we ended it, None if it ended by itself."""

    name: str
    process: subprocess.Popen[bytes]
    out: Path
    err: Path
    fate: str | None = None
    continues_at: float | None = None

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def output(self) -> str:
        return self.out.read_text("utf-8", "replace")


@dataclass(slots=True)
class Cast:
    """The processes of one night, in one folder with one environment."""

    folder: Path
    environment: dict[str, str]
    changes: tuple[str, ...] = ()  # see chaos.changed
    players: list[Player] = field(default_factory=list)

    def start(self, name: str, *arguments: str) -> Player:
        """`nightmail` with these arguments, in the folder."""
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        stem = f"{len(self.players):03d}-{name}"
        out, err = logs / f"{stem}.out", logs / f"{stem}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", *self._program(), *arguments],
                cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
            )  # fmt: skip
        player = Player(name, process, out, err)
        self.players.append(player)
        return player

    def _program(self) -> list[str]:
        return ["chaos.changed", ",".join(self.changes)] if self.changes else ["nightmail"]

    def finish(self, name: str, *arguments: str, seconds: float) -> Player:
        """The same, waited for; killed, with fate `overdue`, if it takes longer."""
        player = self.start(name, *arguments)
        try:
            player.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill(player, "overdue")
        return player

    def living(self) -> list[Player]:
        return [player for player in self.players if player.alive]

    def kill(self, player: Player, fate: str = "kill") -> None:
        player.fate = fate
        player.signal(signal.SIGKILL)
        player.process.wait()

    def let_go(self) -> None:
        """Set going whoever is stopped and whose time has come."""
        for player in self.living():
            if player.continues_at is not None and player.continues_at <= time.monotonic():
                player.continues_at = None
                player.signal(signal.SIGCONT)

    def dismiss(self) -> list[Player]:
        """Ask everyone to end, as Ctrl-C does; who does not within half a minute is killed and returned."""
        for player in self.living():
            player.signal(signal.SIGCONT)
            player.fate = player.fate or "terminate"
            player.signal(signal.SIGTERM)
        end = time.monotonic() + TERMINATE_SECONDS
        deaf = []
        for player in self.living():
            try:
                player.process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.kill(player, "deaf")
                deaf.append(player)
        return deaf

    def kill_all(self) -> None:
        for player in self.living():
            self.kill(player)


@dataclass(slots=True)
class Mischief:
    """Carries out deeds one after the other; `done` counts what took place."""

    cast: Cast
    simulator: SimulatorProcess
    chance: random.Random
    work: Callable[[], bool]  # starts whoever ought to be at work; False once everything is over
    done: Counter[str] = field(default_factory=Counter)

    def carry_out(self, deeds: Sequence[Deed]) -> None:
        for deed in deeds:
            if not self._wait(deed.after):
                return
            self._do(deed)
        while any(player.continues_at is not None for player in self.cast.living()):
            if not self._wait(0.5):
                return

    def _wait(self, seconds: float) -> bool:
        """Let time pass; False if there is nothing left to disturb."""
        end = time.monotonic() + seconds
        while True:
            self.cast.let_go()
            if not self.work():
                return False
            left = end - time.monotonic()
            if left <= 0:
                return True
            threading.Event().wait(min(left, 0.05))

    def _do(self, deed: Deed) -> None:
        match deed.what:
            case "kill" | "stop" | "terminate":
                going = [player for player in self.cast.living() if player.continues_at is None]
                if not going:
                    return
                self._strike(self.chance.choice(going), deed)
            case "kill_shard":
                shards = [pid for player in self.cast.living() for pid in children(player.process.pid)]
                if not shards:
                    return
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.chance.choice(shards), signal.SIGKILL)
            case "kill_simulator":
                self.simulator.kill()
                self._wait(deed.seconds)
                self.simulator.restart()
            case "jump":
                with contextlib.suppress(NightmailError, OSError):
                    self.simulator.post("/_simulator/clock", {"advance": deed.seconds})
            case "pause":
                self.cast.start("pause", "pause", "--json")
                self._wait(self.chance.uniform(0.2, 2))
                self.cast.start("resume", "resume", "--json")
            case "retry" | "cancel" as command:
                self.cast.start(command, command, "--json")
            case _:
                return
        self.done[deed.what] += 1

    def _strike(self, player: Player, deed: Deed) -> None:
        if deed.what == "kill":
            self.cast.kill(player)
        elif deed.what == "terminate":
            player.fate = "terminate"
            player.signal(signal.SIGTERM)
        else:
            player.fate = "stop"
            player.continues_at = time.monotonic() + deed.seconds
            player.signal(signal.SIGSTOP)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that are still there."""
    told = ""
    with contextlib.suppress(OSError):
        # Each thread has children of its own.
        for thread in Path(f"/proc/{pid}/task").iterdir():
            told += (thread / "children").read_text() + " "
    return [int(each) for each in told.split()]


def environment(*, url: str, key: str, home: Path) -> dict[str, str]:
    """What a process of the night is given: the simulator as its server, and nothing of our own settings."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "NIGHTMAIL_"))
    }
    root = Path(__file__).resolve().parents[1]
    paths = [str(root / "src"), str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    return kept | {
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": key,
        "NIGHTMAIL_HOME": str(home),
        "PYTHONPATH": os.pathsep.join(paths),
    }
