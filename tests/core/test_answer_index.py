"""Where answers are: packed, and found again."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.answer_index import AnswerIndex, index_of

TOKENS = st.integers(0, 2**31)
ANSWERS = st.lists(
    st.tuples(
        st.integers(1, 2**31), st.integers(1, 3), st.integers(0, 2**40), st.integers(1, 2**30),
        TOKENS, TOKENS, st.none() | st.integers(0, 2**60),
    ),
    unique_by=lambda row: row[0],
    max_size=30,
)  # fmt: skip


def index(rows: list[tuple[int | None, ...]]) -> AnswerIndex:
    return index_of(*(list(zip(*rows, strict=True)) or [()] * 7))


@given(ANSWERS)
def test_each_answer_is_found_as_it_was_put(rows: list[tuple[int | None, ...]]) -> None:
    packed = msgspec.msgpack.encode(index(rows))

    unpacked = msgspec.msgpack.decode(packed, type=AnswerIndex)

    assert len(unpacked) == len(rows)
    assert {seq: unpacked.find(seq) for seq, *_ in rows} == {seq: tuple(rest) for seq, *rest in rows}
    wanted = {seq for seq, *_ in rows[::2]} | {0}
    assert unpacked.find_all(wanted) == {seq: tuple(rest) for seq, *rest in rows[::2]}


@given(ANSWERS, st.integers(0, 2**33))
def test_what_has_no_answer_is_not_found(rows: list[tuple[int | None, ...]], seq: int) -> None:
    assert index([row for row in rows if row[0] != seq]).find(seq) is None
