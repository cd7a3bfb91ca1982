"""Where answers are: packed, and found again."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.answer_index import AnswerIndex, index_of

ADDRESSES = st.lists(
    st.tuples(st.integers(1, 2**31), st.integers(1, 3), st.integers(0, 2**40), st.integers(1, 2**30)),
    unique_by=lambda row: row[0],
    max_size=30,
)


@given(ADDRESSES)
def test_each_answer_is_found_where_it_was_put(rows: list[tuple[int, int, int, int]]) -> None:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    packed = msgspec.msgpack.encode(index_of(*columns))

    index = msgspec.msgpack.decode(packed, type=AnswerIndex)

    assert len(index) == len(rows)
    assert {seq: index.find(seq) for seq, *_ in rows} == {seq: tuple(rest) for seq, *rest in rows}


@given(ADDRESSES, st.integers(0, 2**33))
def test_what_has_no_answer_is_not_found(rows: list[tuple[int, int, int, int]], seq: int) -> None:
    others = [row for row in rows if row[0] != seq]
    columns = list(zip(*others, strict=True)) or [(), (), (), ()]

    assert index_of(*columns).find(seq) is None
