"""One night from its beginning to its verdict: lay it out, disturb it, let it finish, judge it.

`python -m chaos.night --seed N --folder DIR` plays the night of a seed; DIR keeps everything of it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from chaos.evidence import Evidence, Theirs, Told, read_ours, read_table, theirs_of
from chaos.invariants import Violation, check
from chaos.mischief import Cast, Mischief, Player, environment
from chaos.rows import write_rows
from chaos.scenario import Scenario, draw
from chaos.verdict import Verdict
from nightmail.config import read_prices
from nightmail.core.pricing import price_of
from nightmail.simulator.process import SimulatorProcess, start

# A provider that answers every call must see every run to its end in this time.
CALM_SECONDS = 300.0
SHORT_SECONDS = 60.0
CALM_ROUNDS = 12
TASKS = Path(__file__).with_name("tasks.py")
OVER = ("finished", "cancelled")


class Night:
    """A night in a folder. `play` gives its verdict."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self.folder = folder
        self.key = f"sk-chaos-{scenario.seed:08d}-not-a-real-key"
        self.marker = f"quagga{scenario.seed:08d}"
        self.violations: list[Violation] = []
        self._keys: dict[str, int] = {}
        self._bad: frozenset[int] = frozenset()
        self._deeds: Counter[str] = Counter()
        self._summaries: list[dict[str, Any]] = []

    def play(self) -> Verdict:
        """Play it and judge it. Only the rehearsal's own faults are raised."""
        scenario = self.scenario
        self._keys, self._bad = write_rows(scenario, self.folder / "rows.jsonl", self.marker)
        options = ["--timing", scenario.timing, "--speed", str(scenario.speed), "--processes", "1"]
        quotas = {scenario.model: scenario.their_quota} if scenario.their_quota else None
        with start(
            state=self.folder / "simulator", faults=scenario.faults, seed=scenario.seed, quotas=quotas,
            options=options,
        ) as simulator:  # fmt: skip
            self._cast = Cast(
                self.folder,
                environment(url=simulator.url, key=self.key, home=self.folder / "home"),
                changes=scenario.changes,
            )
            try:
                self._disturb(simulator)
                self._calm(simulator)
                findings = self._doctor()
                sent_again = self._repeat(simulator)
                books = simulator.get("/_simulator/books")
                theirs = theirs_of(books, simulator.get("/_simulator/books/requests"))
            finally:
                self._cast.kill_all()
        (self.folder / "books.json").write_bytes(msgspec.json.encode(books))
        evidence = self._evidence(theirs, findings, sent_again)
        price = price_of(scenario.model, read_prices(None))
        assert price is not None
        self.violations += check(evidence, price)
        return self._verdict(evidence)

    def _commands(self) -> list[list[str]]:
        scenario = self.scenario
        arguments = [
            "--input", "rows.jsonl", "--mode", scenario.mode, "--poll-interval", str(scenario.poll_interval),
            "--max-batch-requests", str(scenario.max_batch_requests), "--json",
        ]  # fmt: skip
        if scenario.quota is not None:
            arguments += ["--quota", f"{scenario.model}={scenario.quota}"]
        if scenario.bad_rows:
            arguments.append("--skip-bad-rows")
        outputs = [scenario.output, *(["second.jsonl"] if scenario.second_run else [])]
        return [["run", f"{TASKS}:{scenario.task}", "--output", output, *arguments] for output in outputs]

    def _disturb(self, simulator: SimulatorProcess) -> None:
        commands = self._commands()
        wanted: list[tuple[str, list[str]]] = [(f"run{at}", command) for at, command in enumerate(commands)]
        if self.scenario.companion == "run":
            wanted.append(("run0-too", commands[0]))
        elif self.scenario.companion == "worker":
            wanted.append(("worker", ["worker"]))
        current: dict[str, Player] = {}

        def work() -> bool:
            """Start whoever is missing, except who has done all there is to do."""
            going = False
            for name, arguments in wanted:
                player = current.get(name)
                if player is not None and not player.alive:
                    self._ended(player)
                    if player.fate is None and player.process.returncode in (0, 1):
                        continue
                if player is None or not player.alive:
                    current[name] = self._cast.start(name, *arguments)
                going = going or name != "worker"
            return going

        mischief = Mischief(
            self._cast, simulator, random.Random(f"{self.scenario.seed}/victims"), work, self._deeds
        )
        mischief.carry_out(self.scenario.deeds)

    def _calm(self, simulator: SimulatorProcess) -> None:
        """Take the faults away and repeat every command until its run is over."""
        for player in self._cast.dismiss():
            self._note("it_ends_when_told", f"{player.name} did not end within 40 s of SIGTERM")
        for player in self._cast.players:
            self._ended(player)
        simulator.post("/_simulator/faults", {})
        if any(fault["kind"] == "stuck" for fault in self.scenario.faults):
            simulator.post("/_simulator/clock", {"advance": 90_000})
        for number, command in enumerate(self._commands()):
            summary = self._until_over(f"calm{number}", command)
            if summary is not None and self.scenario.retry and summary["failed"]:
                summary = self._retried(summary) or summary
            if summary is not None:
                self._summaries.append(summary)

    def _until_over(self, name: str, command: Sequence[str]) -> dict[str, Any] | None:
        for _ in range(CALM_ROUNDS):
            player = self._cast.finish(name, *command, seconds=CALM_SECONDS)
            summary = self._summary(player)
            if player.fate == "overdue":
                self._note("it_comes_to_an_end", f"{name} was not over after {CALM_SECONDS:.0f} s of calm")
                return None
            code = player.process.returncode
            if code not in (0, 1, 3) or summary is None:
                self._note("it_comes_to_an_end", f"{player.err.name}: exit code {code}: {_tail(player.err)}")
            elif summary["state"] in OVER:
                return summary
            elif summary["state"] == "paused":
                self._cast.finish("resume", "resume", summary["run_id"], "--json", seconds=CALM_SECONDS)
        self._note("it_comes_to_an_end", f"{name} was not over after {CALM_ROUNDS} calm commands")
        return None

    def _retried(self, before: dict[str, Any]) -> dict[str, Any] | None:
        """Without faults, everything that can be asked again succeeds; a cancelled run stays as it is."""
        if before["state"] == "cancelled":
            return before
        player = self._cast.finish("retry", "retry", before["run_id"], "--json", seconds=CALM_SECONDS)
        summary = self._summary(player)
        if summary is None or summary["state"] not in OVER:
            self._note(
                "retry_mends", f"{player.err.name}: exit {player.process.returncode}: {_tail(player.err)}"
            )
            return None
        left = {
            reason: n for reason, n in summary["failures_by_reason"].items()
            if reason not in ("bad_row", "build", "oversize")
        }  # fmt: skip
        if left:
            self._note("retry_mends", f"{before['run_id']}: still failed after a calm retry: {left}")
        return summary

    def _summary(self, player: Player) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(player.output())
        except json.JSONDecodeError:
            if player.fate is None:
                self._note("json_is_one_object", f"{player.out.name}: {player.output()[:200]!r}")
            return None
        return found if "run_id" in found else None

    def _ended(self, player: Player) -> None:
        """A process that nobody ended has an exit code that it may have at such a time."""
        code = player.process.poll()
        if code is None or player.fate is not None:
            return
        player.fate = f"exit {code}"
        # 2: there was nothing yet to pause or to ask again, or the key is refused; 4: nobody answers now.
        refused = any(fault["kind"] == "bad_key" for fault in self.scenario.faults)
        steers = player.name in ("pause", "resume", "retry", "cancel")
        if code not in (0, 1, 3, 4) and not (code == 2 and (refused or steers)):
            self._note("exit_codes_are_right", f"{player.err.name}: exit code {code}: {_tail(player.err)}")

    def _doctor(self) -> list[str]:
        """What is wrong after the night, and what `--fix` cannot mend. That files are left at the provider
        is nothing wrong: whoever was killed between an upload and its record could not delete it."""
        findings: list[str] = []
        for name, options in (("doctor", []), ("doctor-fix", ["--fix"])):
            player = self._cast.finish(name, "doctor", "--json", *options, seconds=SHORT_SECONDS)
            try:
                found = json.loads(player.output())["findings"]
            except (json.JSONDecodeError, KeyError):
                return [f"{name}: exit code {player.process.returncode}: {_tail(player.err)}"]
            findings += [
                f"{each['where']}: {each['what']}"
                for each in found
                if each["done"] is None and (options or each["kind"] != "remote_files")
            ]
        return findings

    def _repeat(self, simulator: SimulatorProcess) -> int:
        before = _sent(simulator)
        for number, command in enumerate(self._commands()):
            self._cast.finish(f"again{number}", *command, seconds=SHORT_SECONDS)
        return _sent(simulator) - before

    def _evidence(self, theirs: Theirs, findings: list[str], sent_again: int) -> Evidence:
        home = self.folder / "home"
        told = []
        for summary in self._summaries:
            failures = summary["failures"]
            told.append(
                Told(
                    summary=summary,
                    outputs=read_table(Path(summary["output"])),
                    failures=read_table(Path(failures)) if failures else [],
                )
            )
        database = b"".join(path.read_bytes() for path in sorted(home.glob("nightmail.db*")))
        return Evidence(
            ours=read_ours(home / "nightmail.db"),
            theirs=theirs,
            told=told,
            findings=findings,
            keys=self._keys,
            bad_records=self._bad,
            quota=self.scenario.quota,
            disturbed=bool(self._deeds),
            sent_again=sent_again,
            secrets={self.key: "the key", self.marker: "text of a prompt"},
            logs={path.name: path.read_text("utf-8", "replace") for path in (self.folder / "logs").iterdir()},
            database=database,
        )

    def _verdict(self, evidence: Evidence) -> Verdict:
        scenario = self.scenario
        return Verdict(
            seed=scenario.seed,
            records=len(self._keys),
            told=f"{scenario.task} by {scenario.mode}, {scenario.records} records, batches of "
            f"{scenario.max_batch_requests}, {scenario.timing}"
            + (f", with {scenario.companion}" if scenario.companion else "")
            + (", two runs" if scenario.second_run else "")
            + (", in processes" if "pooled" in scenario.changes else "")
            + (f", {scenario.repeats:.0%} repeated" if scenario.repeats else ""),
            violations=[(each.kind, each.what) for each in self.violations],
            struck=dict(evidence.theirs.struck),
            deeds=dict(self._deeds),
            extras=[str(event["detail"]) for event in evidence.ours.events if event["name"] == "extra_batch"],
        )

    def _note(self, kind: str, what: str) -> None:
        self.violations.append(Violation(kind, what))


def _sent(simulator: SimulatorProcess) -> int:
    batches = sum(simulator.get("/_simulator/state")["batches"].values())
    calls = sum(each["calls"] for each in simulator.get("/_simulator/books")["calls"].values())
    return int(batches + calls)


def _tail(path: Path) -> str:
    return " | ".join(path.read_text("utf-8", "replace").strip().split("\n")[-3:])[-400:]


def main() -> int:
    """Play one night; exit code 1 if a promise was broken."""
    options = argparse.ArgumentParser(description="Play the night of one seed.")
    options.add_argument("--seed", type=int, required=True)
    options.add_argument("--folder", type=Path, required=True, help="everything of the night stays here")
    options.add_argument("--short", action="store_true", help="few records, nothing that takes minutes")
    given = options.parse_args()
    folder: Path = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    night = Night(draw(given.seed, short=given.short), folder)
    try:
        verdict = night.play()
    except Exception:
        # What cannot be judged is no success: its own trouble is told like a broken promise.
        verdict = Verdict(
            seed=given.seed, records=0, told="came to no end", struck={}, deeds={}, extras=[],
            violations=[*((each.kind, each.what) for each in night.violations),
                        ("the_rehearsal_works", traceback.format_exc()[-1500:])],
        )  # fmt: skip
    (folder / "verdict.json").write_bytes(msgspec.json.encode(verdict))
    for kind, what in verdict.violations:
        sys.stdout.write(f"{kind}: {what}\n")
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
