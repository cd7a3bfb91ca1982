"""A disk that is full or read-only, in real processes on a small file system of their own: the command says
so and ends with exit code 4, and the same command finishes the run once there is room."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from nightmail.simulator import process
from tests.end_to_end.command import Ended, Folder

pytestmark = pytest.mark.end_to_end

# Mounts are seen by these processes only, and need no right but that of making namespaces.
PRIVATE = ("unshare", "--user", "--map-root-user", "--mount")
SHORT_LEASE = Path(__file__).with_name("short_lease.py")
RUN = (
    "run", "sections.py", "--input", "rows.jsonl", "--output", "disk/out.jsonl",
    "--max-batch-requests", "400", "--poll-interval", "0.1", "--json",
)  # fmt: skip
RECORDS = 1_600


@functools.cache
def can_mount() -> bool:
    try:
        tried = subprocess.run([*PRIVATE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True)
    except FileNotFoundError:
        return False
    return tried.returncode == 0


def run_twice(folder: Folder, size: str, spoil: str, mend: str, *, home: str) -> tuple[Ended, Ended]:
    """The same command on a disk of `size` after `spoil` has been done to it, and again after `mend`. What is
    left on the disk after the first is listed in `left`."""
    folder.write_rows("rows.jsonl", RECORDS)
    (folder.path / "disk").mkdir()
    command = " ".join([sys.executable, str(SHORT_LEASE), "-", *RUN, "--home", home])
    folder.write(
        "twice.sh",
        f"""
        mount -t tmpfs -o size={size} tmpfs disk || exit 99
        {spoil}
        {command} > first.out 2> first.err; echo $? > first.code
        find disk -type f > left
        {mend}
        {command} > second.out 2> second.err; echo $? > second.code
        cp disk/out.jsonl out.jsonl
        """,
    )
    subprocess.run(
        [*PRIVATE, "sh", "twice.sh"], cwd=folder.path, env=folder.environment, timeout=180, check=True
    )
    first, second = (
        Ended(int(read(folder, f"{name}.code")), read(folder, f"{name}.out"), read(folder, f"{name}.err"))
        for name in ("first", "second")
    )
    return first, second


def read(folder: Folder, name: str) -> str:
    return (folder.path / name).read_text()


def keys_of(folder: Folder) -> list[str]:
    return [json.loads(line)["id"] for line in read(folder, "out.jsonl").splitlines()]


ALL = [f"p{n}" for n in range(RECORDS)]
MORE_ROOM = "mount -o remount,size=64m disk"
needs_mounts = pytest.mark.skipif(not can_mount(), reason="this machine lets no user mount a file system")


@needs_mounts
@pytest.mark.parametrize("size", ["100k", "600k", "1500k", "2300k"])
def test_a_full_disk_is_said_and_the_same_command_finishes_once_there_is_room(
    tmp_path: Path, size: str
) -> None:
    """From a disk without room for the tables, over the requests, to one without room for the results."""
    with process.start() as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        full, finished = run_twice(folder, size, ":", MORE_ROOM, home="disk/home")
        totals = simulator.get("/_simulator/books")["totals"]
    assert full.code == 4, full.err
    assert f"{tmp_path / 'disk'}/" in full.result["error"]
    assert "the disk is full" in full.result["error"]
    assert "Make room, then run the same command again" in full.result["error"]
    assert "out.jsonl" not in read(folder, "left")
    assert (finished.code, finished.result["succeeded"]) == (0, RECORDS), finished.err
    assert totals["requests"] == RECORDS, "nothing is asked twice"
    assert keys_of(folder) == ALL


@needs_mounts
def test_an_output_without_room_is_not_there_by_half(tmp_path: Path) -> None:
    with process.start() as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        full, finished = run_twice(folder, "100k", ":", MORE_ROOM, home="home")
        totals = simulator.get("/_simulator/books")["totals"]
    assert full.code == 4, full.err
    assert f"{tmp_path / 'disk' / 'out.jsonl'}: the disk is full" in full.result["error"]
    assert read(folder, "left") == ""
    assert finished.code == 0, finished.err
    assert totals["requests"] == RECORDS
    assert keys_of(folder) == ALL


@needs_mounts
def test_a_home_on_a_read_only_disk_is_said(tmp_path: Path) -> None:
    with process.start() as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        (folder.path / "out").mkdir()
        spoil = "mkdir disk/home; ln -s ../out/out.jsonl disk/out.jsonl; mount -o remount,ro disk"
        refused, finished = run_twice(folder, "64m", spoil, "mount -o remount,rw disk", home="disk/home")
        assert refused.code == 4, refused.err
        assert "Make it writable for this user, or name another place" in refused.result["error"]
        assert finished.code == 0, finished.err
        assert keys_of(folder) == ALL
