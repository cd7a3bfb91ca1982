"""The spool: whole files or none, bytes by address, lines that end at newlines only."""

import io
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.errors import LeaseLost, StoreError
from nightmail.spool import Spool
from nightmail.spool.ranges import merged
from nightmail.spool.splitting import split_lines

ODD = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg".encode()


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path)


def test_a_file_is_read_back_by_address(spool):
    assert spool.write("run/a.jsonl", [b"one\n", b"two\n"]) == 8

    assert spool.read("run/a.jsonl", 4, 3) == b"two"


def test_many_addresses_are_read_from_files_that_stay_open(spool):
    for name in ("a", "b"):
        spool.write(name, [f"{name}-one\n{name}-two\n".encode()])
    with spool.reading() as read:
        found = [read(name, offset, 5) for name, offset in (("b", 6), ("a", 0), ("b", 0), ("a", 6))]
        with pytest.raises(StoreError, match="shorter than the database says"):
            read("a", 10, 5)
    assert found == [b"b-two", b"a-one", b"b-one", b"a-two"]


def test_a_write_that_fails_leaves_the_file_as_it_was(spool):
    spool.write("a", [b"old"])

    def broken():
        yield b"new"
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        spool.write("a", broken())

    assert spool.read_whole("a") == b"old"
    assert [path.name for path in spool.root.iterdir()] == ["a"]


def test_reading_past_the_end_says_which_file(spool):
    spool.write("a", [b"short"])

    with pytest.raises(StoreError, match=r"/a is shorter than the database says"):
        spool.read("a", 3, 10)


@pytest.mark.parametrize("by_kernel", [True, False])
def test_gathered_ranges_are_byte_for_byte(spool, monkeypatch, by_kernel):
    if not by_kernel:
        monkeypatch.delattr("os.copy_file_range", raising=False)
    a, b = bytes(range(256)) * 9000, ODD * 1000
    spool.write("a", [a])
    spool.write("b", [b])
    ranges = [("a", 100, 2_000_000), ("a", 2_000_100, 5), ("b", 0, 50), ("a", 0, 3), ("b", 7, 100)]

    size = spool.gather(ranges, "out")

    expected = a[100:2_000_105] + b[:50] + a[:3] + b[7:107]
    assert spool.read_whole("out") == expected
    assert size == len(expected)


def test_what_is_gathered_is_synced_before_it_appears(spool, monkeypatch):
    """Its ranges are deleted afterwards: a power cut must not find them gone and it empty."""
    spool.write("a", [b"some of it"])
    synced, sync = [], os.fsync

    def watched(descriptor):
        synced.append((os.fstat(descriptor).st_size, spool.exists("out")))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)

    spool.gather([("a", 0, 4)], "out")

    assert (4, False) in synced


def test_ranges_that_touch_are_copied_as_one():
    assert list(merged([("a", 0, 5), ("a", 5, 5), ("b", 10, 1), ("a", 10, 1)])) == [
        ("a", 0, 10),
        ("b", 10, 1),
        ("a", 10, 1),
    ]


@given(
    lines=st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"").rstrip(b"\r"))),
    end=st.sampled_from([b"\n", b"\r\n"]),
)
def test_lines_come_back_with_their_offsets(lines, end):
    data = b"".join(line + end for line in lines)

    for block in (1, 7, 1_000):
        found = [
            pair for pairs in split_lines(io.BytesIO(data), block=block) for pair in zip(*pairs, strict=True)
        ]

        assert [line for _, line in found] == [line for line in lines if line]
        assert all(data[offset : offset + len(line)] == line for offset, line in found)


def test_only_a_newline_ends_a_line():
    found = [line for _, lines in split_lines(io.BytesIO(ODD + b"\r\n" + ODD)) for line in lines]

    assert found == [ODD, ODD]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b"whole\n", b"whole\n"),
        (b"whole\nhal", b"whole\n"),
        (b"hal", b""),
        (b"x" * 3_000_000, b""),
    ],
)
def test_half_a_line_at_the_end_is_cut_off_before_more_is_written(spool, before, after):
    spool.path("a").write_bytes(before)

    with spool.appendable("a") as file:
        file.write(b"next\n")

    assert spool.read_whole("a") == after + b"next\n"


def test_a_file_that_was_swept_away_while_it_was_made_is_a_lost_lease(spool):
    making = spool.receiving("run-1/results/1.jsonl")
    making.__enter__().write_bytes(b"{}\n")
    spool.sweep("run-1")
    with pytest.raises(LeaseLost):
        making.__exit__(None, None, None)
    assert not spool.exists("run-1/results/1.jsonl")


def is_kept(path, offset):
    """Does the system have this byte in memory? Skips the test where that cannot be asked."""
    with path.open("rb", buffering=0) as file:
        try:
            os.preadv(file.fileno(), [bytearray(1)], offset, os.RWF_NOWAIT)
        except BlockingIOError:
            return False
        except (AttributeError, OSError) as error:
            pytest.skip(f"this file system does not tell what it keeps: {error}")
        return True


def test_what_is_let_go_is_not_kept_in_memory_and_can_be_read_again(request):
    # Not `tmp_path`, which may be nowhere else than in memory.
    folder = tempfile.TemporaryDirectory(dir="/var/tmp")
    request.addfinalizer(folder.cleanup)
    spool = Spool(Path(folder.name))
    lines = [bytes([65 + number % 26]) * 1_023 + b"\n" for number in range(8_192)]
    size = spool.write("a", lines)
    path = spool.path("a")
    assert is_kept(path, 0)

    # It is advice: a page that the system is looking at in that moment stays.
    for _ in range(1_000):
        spool.let_go([("a", 0, size // 4), ("a", size // 4, size // 4)])
        if not (is_kept(path, 0) or is_kept(path, size // 2 - 1)):
            break
    else:
        pytest.fail("it is still kept")
    assert is_kept(path, size - 1)
    assert spool.read("a", 0, size) == b"".join(lines)


def test_letting_go_of_a_file_that_is_gone_is_no_error(spool):
    spool.let_go([("gone", 0, 1 << 30)])
