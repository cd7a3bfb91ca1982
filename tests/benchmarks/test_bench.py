"""The benchmark runs, measures what it says, and compares equal work."""

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from tests.benchmarks.scripts import BENCHMARKS, load

STAGES = {"read", "build+count", "write", "store", "upload", "download", "judge", "settle", "deliver"}


def run(script, *arguments):
    command = [sys.executable, BENCHMARKS / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)


@pytest.mark.end_to_end
def test_the_programs_do_the_same_work_and_the_table_shows_all(tmp_path):
    done = run(
        "bench.py", "--records", 300, "--folder", tmp_path, "--results", tmp_path / "results", "--keep",
        "--note", "a test", "--here",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "results" / "programs-300.json").read_text())
    programs = told["programs"]
    assert {name: each["succeeded"] for name, each in programs.items()} == {
        "nightmail": 300,
        "ideal": 300,
        "naive": 300,
    }
    ours = programs["nightmail"]
    assert ours["stages"].keys() >= STAGES
    assert all(seconds >= 0 for seconds in ours["stages"].values())
    assert "naive / nightmail" in done.stdout
    assert "nightmail / ideal" in done.stdout
    assert "one round; a test" in done.stdout
    assert "build+count" in done.stdout
    # The ideal one counts by its own few lines and must come to the same.
    assert programs["ideal"]["input_tokens"] == ours["input_tokens"]
    (folder,) = tmp_path.glob("nightmail-bench-*")
    columns = ["id", "section", "why"]
    ours_rows, ideal_rows = (
        pq.read_table(folder / f"{name}-300-0" / "output.parquet", columns=columns).sort_by("id")
        for name in ("nightmail", "ideal")
    )
    assert ours_rows.num_rows == 300
    assert ours_rows.to_pylist() == ideal_rows.to_pylist()


@pytest.mark.end_to_end
def test_a_profile_names_the_dearest_functions_of_a_stage(tmp_path):
    done = run("profile_run.py", "--records", 50, "--rows", 5, "--keep", tmp_path)

    assert done.returncode == 0, done.stderr
    assert "== build+count" in done.stdout
    assert "tottime" in (tmp_path / "judge.txt").read_text()
    assert (tmp_path / "judge.prof").stat().st_size


def test_the_ideal_pipeline_cuts_the_input_at_the_ends_of_lines_and_at_the_limit(tmp_path, monkeypatch):
    ideal = load("ideal")
    monkeypatch.setattr(ideal, "BATCH", 7)
    monkeypatch.setattr(ideal, "CHUNK", 16)
    monkeypatch.setattr(ideal, "PROCESSES", 1)
    source = tmp_path / "input"
    whole = b"".join(b"%d\n" % number * (number % 3 + 1) for number in range(20)) + b"no end of a line"
    source.write_bytes(whole)

    pieces = list(ideal.pieces(source))

    parts = [whole[piece.first : piece.end] for piece in pieces]
    assert b"".join(parts) == whole
    assert [part.count(b"\n") for part in parts[:-1]] == [7] * (len(parts) - 1)
    assert [piece.number for piece in pieces] == list(range(len(pieces)))
