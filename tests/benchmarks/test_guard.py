"""A record costs no more CPU than it did, in units of work that is measured beside it."""

import itertools
import json
import subprocess
import sys

import pytest

from tests.benchmarks.scripts import BENCHMARKS, load

guard = load("guard")


@pytest.mark.end_to_end
def test_a_record_costs_at_most_half_more_than_was_recorded():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "guard.py", "--check"],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip

    assert done.returncode == 0, f"{done.stdout}{done.stderr}see docs/how-to/benchmark.md"


def test_what_is_recorded_is_a_ratio_and_its_machine():
    recorded = json.loads(guard.RECORDED.read_text())

    assert 1 < recorded["ratio"] < 20
    assert recorded.keys() == {"ratio", "processors", "memory_gb", "python", "system"}


def rounds_of(*seconds):
    """`least`, with a calibration and work that take these CPU seconds, round by round."""
    clock = itertools.accumulate(itertools.chain.from_iterable((0, a, b) for a, b in seconds))
    done = []

    def measured(most):
        ratio = guard.least(done.append, lambda: None, lambda: next(clock), rounds=len(seconds), most=most)
        return ratio, len(done)

    return measured


def test_the_least_of_several_rounds_counts():
    assert rounds_of((2, 12), (1, 8), (4, 6))(0) == (6, 3)


def test_a_round_that_is_low_enough_is_the_last():
    assert rounds_of((1, 12), (1, 5), (1, 4))(5.5) == (5, 2)
