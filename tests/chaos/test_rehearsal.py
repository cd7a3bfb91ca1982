"""A short rehearsal with real processes: the long one is `make chaos`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from chaos.rehearse import Playing, verdict_of
from chaos.report import lines
from chaos.verdict import Verdict

ROOT = Path(__file__).parents[2]


@pytest.mark.end_to_end
def test_a_short_rehearsal_keeps_every_promise(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "chaos.rehearse", "--short", "--seed", "8", "--nights", "3", "--jobs", "3",
         "--keep", str(tmp_path)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True,
        timeout=400,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\n0 violations" in ended.stdout
    assert list(tmp_path.iterdir()) == []


def verdict(seed, *violations):
    return Verdict(
        seed=seed, records=100, told="a night", violations=list(violations),
        struck={"expire": 2, "create_lost": 1}, deeds={"kill": 3}, extras=[],
    )  # fmt: skip


def test_the_report_counts_faults_by_kind_and_says_how_to_repeat_a_broken_night():
    told = "\n".join(lines([verdict(7), verdict(8, ("money_agrees", "0.1 more"))], repeat="again {seed}"))

    assert "2 nights, 200 records" in told
    assert "12 faults of 3 kinds" in told
    assert "expire                         4" in told
    assert "1 violations" in told
    assert "seed 8 (a night); again: again 8" in told
    assert "money_agrees: 0.1 more" in told


def test_a_night_without_a_verdict_is_a_violation(tmp_path):
    (tmp_path / "night.log").write_text("it fell over")
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    process.wait()

    found = verdict_of(Playing(5, tmp_path, process, 0.0))

    assert found.violations == [("the_rehearsal_works", "exit 3: it fell over")]
