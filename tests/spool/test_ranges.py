"""Ranges of several files are read as one file, from any place, and what is missing is said."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightmail.errors import StoreError
from nightmail.spool import Spool
from nightmail.spool.ranges import read_fully

FILES = {"a": bytes(range(200)), "b": b"0123456789" * 9, "c": b""}
RANGES = st.lists(
    st.sampled_from(sorted(FILES)).flatmap(
        lambda name: st.integers(0, len(FILES[name])).flatmap(
            lambda offset: st.tuples(
                st.just(name), st.just(offset), st.integers(0, len(FILES[name]) - offset)
            )
        )
    ),
    max_size=8,
)


def filled(folder: Path) -> Spool:
    spool = Spool(folder)
    for name, content in FILES.items():
        spool.write(name, [content])
    return spool


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    RANGES, st.lists(st.tuples(st.integers(0, 2), st.integers(-99, 400), st.integers(-1, 120)), max_size=6)
)
def test_ranges_are_read_as_the_file_that_they_would_make(
    tmp_path: Path, ranges: list[tuple[str, int, int]], steps: list[tuple[int, int, int]]
) -> None:
    whole = b"".join(FILES[name][offset : offset + length] for name, offset, length in ranges)
    with filled(tmp_path).joined(ranges) as joined:
        assert joined.size == len(whole)
        assert joined.read() == whole
        for whence, offset, size in steps:
            begin = (0, joined.tell(), len(whole))[whence]
            at = joined.seek(offset, whence)

            assert at == joined.tell() == max(0, begin + offset)
            assert joined.read(size) == (whole[at:] if size < 0 else whole[at : at + size])


@pytest.mark.parametrize(
    ("name", "said"), [("a", r"/a is shorter than the database says"), ("none", r"/none cannot be read")]
)
def test_what_is_not_there_is_said_before_anything_is_read(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        filled(tmp_path).joined([("b", 0, 5), (name, 195, 6)])


def test_a_file_that_is_cut_off_meanwhile_is_said(tmp_path: Path) -> None:
    spool = filled(tmp_path)
    with spool.joined([("b", 0, 5), ("a", 0, 50)]) as joined:
        spool.path("a").write_bytes(b"short")

        with pytest.raises(StoreError, match=r"/a is shorter than the database says"):
            joined.read()


class Halting(io.FileIO):
    """Gives three bytes at a time, as a file of a network may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(3 if size is None or size < 0 else min(size, 3))


def test_a_read_that_gives_less_than_there_is_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "digits"
    path.write_bytes(b"0123456789")
    with Halting(path) as file:
        assert read_fully(file, 8) == b"01234567"
        assert read_fully(file, 8) == b"89"
        assert read_fully(file, 8) == b""
