from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nightmail.errors import DiskFull, SinkError
from nightmail.sinks.atomic import AtomicFile, blamed, check_target

WRITER = """
import sys
from pathlib import Path
from nightmail.sinks.atomic import AtomicFile
file = AtomicFile(Path(sys.argv[1]))
file.file.write(b"half")
file.file.flush()
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_killed_writer_leaves_the_old_file_and_the_next_one_clears_up(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_bytes(b"old")
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        alive = AtomicFile(target)
        alive.abort()
        assert len(list(tmp_path.iterdir())) == 2, "the file of a living writer is left alone"
        process.send_signal(signal.SIGKILL)
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    after = AtomicFile(target)
    after.file.write(b"new")
    after.commit()
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes() == b"new"


def test_two_writers_of_one_target_do_not_touch_each_other(tmp_path: Path) -> None:
    target = tmp_path / "out"
    one, two = AtomicFile(target), AtomicFile(target)
    one.file.write(b"one")
    two.file.write(b"two")
    one.commit()
    assert target.read_bytes() == b"one"
    two.commit()
    assert target.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [target]


def test_who_clears_up_while_a_writer_ends_does_not_take_the_next_ones_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    first, second = AtomicFile(target), None
    lock = fcntl.flock

    def between_open_and_lock(handle: int, operation: int) -> None:
        nonlocal second
        monkeypatch.setattr(fcntl, "flock", lock)
        first.file.write(b"one")
        first.commit()
        second = AtomicFile(target)
        second.file.write(b"two")
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", between_open_and_lock)
    third = AtomicFile(target)
    assert second is not None
    second.commit()
    assert target.read_bytes() == b"two"
    third.abort()
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_stays_a_link_and_permissions_are_the_users(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real" / "out")
    plain = tmp_path / "plain"
    plain.touch()
    file = AtomicFile(link)
    file.file.write(b"x")
    file.commit()
    assert link.is_symlink()
    assert (tmp_path / "real" / "out").read_bytes() == b"x"
    assert link.stat().st_mode == plain.stat().st_mode


def test_a_name_of_the_greatest_length_is_written(tmp_path: Path) -> None:
    target = tmp_path / ("é" * 127)
    file = AtomicFile(target)
    file.commit()
    assert list(tmp_path.iterdir()) == [target]


def test_each_impossible_place_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for path, message in {
        tmp_path: "is a folder; give the output a file name",
        tmp_path / "no" / "out": r"there is no folder .*no; make it first: mkdir -p",
        tmp_path / "file" / "out": "is no folder",
        tmp_path / "pipe": "no regular file",
    }.items():
        with pytest.raises(SinkError, match=message):
            check_target(path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "pipe"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_without_permission_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SinkError, match="Permission denied"):
        check_target(tmp_path / "out")


def test_a_failing_commit_leaves_no_trace(tmp_path: Path) -> None:
    target = tmp_path / "out"
    file = AtomicFile(target)
    file.file.write(b"x")
    target.mkdir()
    with pytest.raises(SinkError, match="cannot be written"):
        file.commit()
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
def test_a_full_disk_is_said_to_be_full() -> None:
    with pytest.raises(DiskFull, match="out: the disk is full"), blamed(Path("out")):
        Path("/dev/full").write_bytes(b"x")
