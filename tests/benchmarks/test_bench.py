"""The benchmark runs, measures what it says, and compares equal work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
STAGES = {"read", "build+count", "write", "store", "upload", "download", "judge", "settle", "deliver"}


def run(script, *arguments):
    command = [sys.executable, BENCHMARKS / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.end_to_end
def test_both_programs_answer_every_record_and_the_table_shows_both(tmp_path):
    done = run("bench.py", "--records", 200, "--folder", tmp_path, "--results", tmp_path / "results")

    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").glob("*.json")
    told = json.loads(path.read_text())
    assert {name: each["succeeded"] for name, each in told["programs"].items()} == {
        "nightmail": 200,
        "naive": 200,
    }
    ours = told["programs"]["nightmail"]
    assert ours["stages"].keys() >= STAGES
    assert sum(ours["stages"].values()) == pytest.approx(ours["cpu_seconds"])
    assert "naive / nightmail" in done.stdout
    assert "build+count" in done.stdout
    assert [each.name for each in tmp_path.iterdir()] == ["results"]


@pytest.mark.end_to_end
def test_a_profile_names_the_dearest_functions_of_a_stage(tmp_path):
    done = run("profile_run.py", "--records", 50, "--rows", 5, "--keep", tmp_path)

    assert done.returncode == 0, done.stderr
    assert "== build+count" in done.stdout
    assert "tottime" in (tmp_path / "judge.txt").read_text()
    assert (tmp_path / "judge.prof").stat().st_size
