"""The other benchmarks run, at sizes that say nothing, and tell what they measured."""

import re
import subprocess
import sys

import pytest

from tests.benchmarks.scripts import BENCHMARKS

pytestmark = pytest.mark.end_to_end


def lines_of(script, *arguments):
    command = [sys.executable, BENCHMARKS / script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def figures_in(line):
    return [float(each.replace(",", "")) for each in re.findall(r"(?<=\s)-?[\d,]+(?:\.\d+)?(?=\s|$)", line)]


def test_a_size_has_a_line_with_what_a_record_took(tmp_path):
    _, line = lines_of("scale.py", "--sizes", 40, "--folder", tmp_path)

    size, wall, per_record, cpu_per_record, largest, together = figures_in(" " + line)
    assert size == 40
    assert min(wall, per_record, cpu_per_record) > 0
    assert 0 < largest <= together
    assert list(tmp_path.iterdir()) == []


def test_calls_are_measured_with_a_bound_that_refuses_and_without(tmp_path):
    _, _, bound, free = lines_of("calls.py", "--records", 120)

    least, wall, ratio, cpu, refused = figures_in(bound)
    assert bound.startswith("32 ")
    assert least == pytest.approx(120 * 0.05 / 32, abs=0.06)
    assert ratio == pytest.approx(wall / (120 * 0.05 / 32), rel=0.2)
    assert cpu > 0
    assert refused >= 0
    assert free.startswith("all ")
    assert figures_in(free)[-1] == 0, "who lets everybody in refuses nobody"


def test_embeddings_are_taken_in_and_compared_with_a_loop_over_the_same_lines(tmp_path):
    title, _, *ours, loop, by_hand = lines_of("embeddings.py", "--records", 30, "--folder", tmp_path)

    assert title.startswith("30 embeddings of 1536 numbers, 1 MB of JSON")
    names = [line[:24].strip() for line in (*ours, loop, by_hand)]
    assert names == ["as it is", "from the files", "json.loads", "json.loads, to Parquet"]
    for line in ours:
        wall, cpu, largest, _ = figures_in(line)
        # None of it, if this machine looked only after the end.
        assert wall >= 0
        assert cpu >= 0
        assert largest > 0
    # Nobody looks at their memory.
    assert len(figures_in(loop)) == len(figures_in(by_hand)) == 3
    assert list(tmp_path.iterdir()) == []


def test_status_is_timed_on_as_many_rows_as_were_asked_for(tmp_path):
    title, *times = lines_of("status.py", "--rows", 1_000, "--times", 1, "--folder", tmp_path)

    assert title.startswith("1,000 requests, ")
    assert [line.split("   ")[0] for line in times] == [
        "in a process that has the home open",
        "the page /runs/RUN",
        "the page /",
        "the page /runs",
        "nightmail status",
        "nightmail --version",
        "nightmail --help",
        "import nightmail, without the bare",
    ]
    assert all(line.endswith(" ms") and len(figures_in(line)) == 1 for line in times)
