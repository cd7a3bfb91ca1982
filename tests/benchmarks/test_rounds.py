"""A program is measured with everything it starts, ended when its time is up, and its failure is told."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.benchmarks.scripts import load

process, rounds, watched = (load(name) for name in ("process", "rounds", "watched"))
MEGABYTES_50 = 50_000_000


def script(folder, text):
    path = folder / "program.py"
    path.write_text(textwrap.dedent(text))
    return path


def watch(folder, text, *, timeout=60.0):
    return watched.run(
        [sys.executable, script(folder, text)],
        log=folder / "log.txt", folder=folder, env=os.environ, timeout=timeout,
    )  # fmt: skip


def test_the_cpu_of_a_program_is_that_of_everything_it_started(tmp_path):
    used = watch(
        tmp_path,
        """
        import subprocess, sys

        work = "import time\\nwhile time.process_time() < 0.3: pass"
        for child in [subprocess.Popen([sys.executable, "-c", work]) for _ in range(2)]:
            child.wait()
        print("done")
        """,
    )

    assert (used.exit_code, used.said) == (0, "done")
    assert used.cpu_seconds >= 0.6
    assert used.peak_rss > 0


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of other processes is read from /proc")
def test_memory_is_looked_at_in_every_process_and_summed():
    hold = f"import sys; held = bytearray({MEGABYTES_50}); sys.stdin.read()"
    children = [subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE) for _ in range(2)]
    looking = watched._Looking(os.getpid())
    try:
        deadline = time.monotonic() + 60
        while looking.together < 2 * MEGABYTES_50:
            assert time.monotonic() < deadline, looking.together
            time.sleep(0.02)
    finally:
        looking.stop()
        for child in children:
            child.communicate()

    assert looking.largest >= MEGABYTES_50


def test_a_program_whose_time_is_up_is_ended_with_what_it_started(tmp_path):
    used = watch(
        tmp_path,
        """
        import pathlib, subprocess, sys

        child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=-1)
        pathlib.Path("child").write_text(str(child.pid))
        child.wait()
        """,
        timeout=1.0,
    )

    assert used.exit_code is None
    if (child := tmp_path / "child").exists():
        status = Path(f"/proc/{child.read_text()}/status")
        deadline = time.monotonic() + 60
        while status.exists() and "zombie" not in status.read_text():
            assert time.monotonic() < deadline, "it still runs"
            time.sleep(0.02)


@pytest.mark.end_to_end
def test_a_program_that_fails_is_told_with_its_own_last_words(tmp_path):
    source = tmp_path / "input"
    source.write_text("{}\n")
    path = script(tmp_path, "raise ValueError('the peer has no such method')")
    program = rounds.Program(name="failing", runs=[path])

    told = rounds.compare([program], source, tmp_path, 1, 2)

    assert told == {"failing": {"failed": "ValueError: the peer has no such method"}}


@pytest.mark.end_to_end
def test_records_without_an_answer_are_a_failure(tmp_path):
    source = tmp_path / "input"
    source.write_text("{}\n")
    path = script(
        tmp_path,
        """
        import json, pathlib, sys

        told = pathlib.Path(sys.argv[sys.argv.index("--told") + 1])
        told.write_text(json.dumps({"records": 2, "succeeded": 1}))
        """,
    )

    told = rounds.compare([rounds.Program(name="half", runs=[path])], source, tmp_path, 2, 1)

    assert told == {"half": {"failed": "1 of 2 records succeeded"}}


def test_of_each_figure_the_one_in_the_middle_is_told():
    several = [
        {"wall_seconds": wall, "peak_rss": peak, "first": f"{wall} s"}
        for wall, peak in ((3.0, 7), (1.0, 9), (9.0, 8), (2.0, 6))
    ]

    assert rounds.median(several) == {"wall_seconds": 2.0, "peak_rss": 7, "first": "3.0 s"}
    assert rounds.median(several[:3]) == {"wall_seconds": 3.0, "peak_rss": 8, "first": "3.0 s"}


def test_the_cpu_of_a_process_and_its_children_can_leave_one_out():
    work = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\nsys.stdin.read()"
    command = [sys.executable, "-c", work]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        without = process.cpu_of_self_and_children(without=child.pid)
        everything = process.cpu_of_self_and_children(without=-1)

    # What this process needs in between is more, never less.
    assert everything - without >= (0.25 if sys.platform == "linux" else 0)
