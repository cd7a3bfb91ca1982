"""Cutting requests into batches: nothing lost, every limit kept, no batch smaller than it need be."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.limits import Limits
from nightmail.core.planning import (
    BATCHES_PER_QUOTA,
    FIRST_BATCH,
    HEADROOM,
    Item,
    Slice,
    batch_limits,
    calibrated,
    most_requests,
    split,
    waves,
)

sizes = st.integers(1, 40)
limits_drawn = st.builds(
    Limits,
    max_batch_requests=st.integers(1, 10),
    max_batch_bytes=st.integers(1, 100),
    max_batch_tokens=st.none() | st.integers(1, 100),
    max_batch_inputs=st.none() | st.integers(1, 100),
)


@st.composite
def items_drawn(draw: st.DrawFn) -> list[Item]:
    rows = draw(st.lists(st.tuples(sizes, sizes, sizes), max_size=60))
    return [Item(seq, *row) for seq, row in enumerate(rows, 1)]


def fits(chosen: list[Item], limits: Limits) -> bool:
    return (
        len(chosen) <= limits.max_batch_requests
        and sum(item.bytes for item in chosen) <= limits.max_batch_bytes
        and sum(item.tokens for item in chosen) <= (limits.max_batch_tokens or 10**9)
        and sum(item.inputs for item in chosen) <= (limits.max_batch_inputs or 10**9)
    )


@given(items_drawn(), limits_drawn)
def test_every_request_is_in_exactly_one_batch_in_the_order_given(items: list[Item], limits: Limits) -> None:
    assert [item for piece in split(items, limits) for item in piece.items] == items


@given(items_drawn(), limits_drawn)
def test_every_limit_is_kept_except_by_a_request_that_exceeds_it_alone(
    items: list[Item], limits: Limits
) -> None:
    for piece in split(items, limits):
        assert fits(piece.items, limits) or len(piece.items) == 1


@given(items_drawn(), limits_drawn)
def test_no_batch_could_have_taken_the_next_request(items: list[Item], limits: Limits) -> None:
    pieces = list(split(items, limits))
    for piece, following in pairwise(pieces):
        assert not fits([*piece.items, following.items[0]], limits)


@given(items_drawn(), limits_drawn)
def test_the_sums_of_a_batch_are_those_of_its_requests(items: list[Item], limits: Limits) -> None:
    for piece in split(items, limits):
        assert piece == Slice(
            piece.items,
            sum(item.tokens for item in piece.items),
            sum(item.bytes for item in piece.items),
            sum(item.inputs for item in piece.items),
        )


def test_split_reads_no_further_than_the_batch_it_gives() -> None:
    def endless() -> Iterator[Item]:
        seq = 0
        while True:
            seq += 1
            yield Item(seq, 1, 1, 1)

    first = next(split(endless(), Limits(max_batch_requests=3)))
    assert [item.seq for item in first.items] == [1, 2, 3]


def test_the_openai_limits_cut_at_fifty_thousand_requests() -> None:
    pieces = list(split((Item(seq, 100, 1_000, 1) for seq in range(1, 120_001)), Limits()))
    assert [len(piece.items) for piece in pieces] == [50_000, 50_000, 20_000]


def test_the_first_batches_of_a_run_grow_to_what_the_provider_takes() -> None:
    def sizes_of(records: int) -> list[int]:
        items = (Item(seq, 100, 1_000, 1) for seq in range(1, records + 1))
        return [len(piece.items) for piece in split(items, Limits(), new=True)]

    assert sizes_of(9_000) == [9_000]
    assert sizes_of(50_000) == [10_000, 10_000, 20_000, 10_000]
    assert sizes_of(200_000) == [10_000, 10_000, 20_000, 40_000, 50_000, 50_000, 20_000]


@given(st.integers(1, 10**7))
def test_at_the_start_a_batch_is_at_most_as_large_as_all_before_it(seq: int) -> None:
    assert most_requests(seq) == max(FIRST_BATCH, seq - 1)


def test_a_batch_is_never_larger_for_being_new() -> None:
    items = [Item(seq, 100, 1_000, 1) for seq in range(1, 31)]
    limits = Limits(max_batch_requests=7)
    assert list(split(items, limits, new=True)) == list(split(items, limits))


def test_the_openai_limits_cut_at_two_hundred_megabytes() -> None:
    pieces = list(split((Item(seq, 100, 9_000_000, 1) for seq in range(1, 31)), Limits()))
    assert [len(piece.items) for piece in pieces] == [22, 8]


def test_embedding_inputs_are_counted_over_the_lines() -> None:
    limits = Limits(max_batch_inputs=50_000)
    pieces = list(split((Item(seq, 10, 10, 2_000) for seq in range(1, 31)), limits))
    assert [piece.inputs for piece in pieces] == [50_000, 10_000]


@given(st.integers(1, 10**9), st.none() | st.integers(1, 10**9))
def test_one_batch_gets_a_share_of_the_queue(quota: int, most: int | None) -> None:
    limits = batch_limits(Limits(max_enqueued_tokens=quota, max_batch_tokens=most))
    assert limits.max_batch_tokens is not None
    assert 1 <= limits.max_batch_tokens <= max(1, quota * HEADROOM / BATCHES_PER_QUOTA)
    assert most is None or limits.max_batch_tokens <= most
    assert limits.max_enqueued_tokens == quota


def test_without_a_quota_the_limits_of_a_batch_are_the_provider_s() -> None:
    limits = Limits(max_batch_requests=7)
    assert batch_limits(limits) is limits


@pytest.mark.parametrize(
    ("tokens", "limits", "expected"),
    [
        ([], Limits(), 0),
        ([], Limits(max_enqueued_tokens=100), 0),
        ([10, 10], Limits(), 1),
        ([45, 45, 45], Limits(max_enqueued_tokens=100), 2),
        ([90], Limits(max_enqueued_tokens=100), 1),
        ([91, 91], Limits(max_enqueued_tokens=100), 2),
        ([500], Limits(max_enqueued_tokens=100), 1),
        ([1, 1, 1, 1, 1], Limits(max_active_batches=2), 3),
    ],
)
def test_waves_counts_how_often_the_queue_is_filled(tokens: list[int], limits: Limits, expected: int) -> None:
    assert waves(tokens, limits) == expected


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(60, 200), st.none() | st.integers(1, 5))
def test_waves_are_enough_and_not_more_than_the_batches(
    tokens: list[int], quota: int, slots: int | None
) -> None:
    count = waves(tokens, Limits(max_enqueued_tokens=quota, max_active_batches=slots))
    assert count <= len(tokens)
    assert count * int(quota * HEADROOM) >= sum(tokens)
    assert slots is None or count * slots >= len(tokens)


def test_counts_are_corrected_by_what_was_billed_within_bounds() -> None:
    assert calibrated(100, counted=0, billed=0) == 100
    assert calibrated(100, counted=1_000, billed=1_100) == 111
    assert calibrated(100, counted=1_000, billed=1) == 100
    assert calibrated(100, counted=1, billed=1_000) == 1_000
