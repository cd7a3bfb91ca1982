"""Cutting requests into batches: nothing lost, every limit kept, no batch smaller than it need be."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.limits import Limits
from nightmail.core.planning import (
    BATCHES_PER_QUOTA,
    FIRST_BATCH,
    HEADROOM,
    Items,
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
def items_drawn(draw: st.DrawFn) -> Items:
    items = Items()
    for seq, row in enumerate(draw(st.lists(st.tuples(sizes, sizes, sizes), max_size=60)), 1):
        items.add(seq, *row)
    return items


def alike(count: int, *, size: int) -> Items:
    return Items(list(range(1, count + 1)), [100] * count, [size] * count, [1] * count)


def sums_of(items: Items, seqs: list[int]) -> tuple[int, int, int]:
    columns = (items.tokens, items.bytes, items.inputs)
    tokens, size, inputs = (sum(column[seq - 1] for seq in seqs) for column in columns)
    return tokens, size, inputs


def fits(items: Items, seqs: list[int], limits: Limits) -> bool:
    tokens, size, inputs = sums_of(items, seqs)
    return (
        len(seqs) <= limits.max_batch_requests
        and size <= limits.max_batch_bytes
        and tokens <= (limits.max_batch_tokens or 10**9)
        and inputs <= (limits.max_batch_inputs or 10**9)
    )


@given(items_drawn(), limits_drawn)
def test_every_request_is_in_exactly_one_batch_in_the_order_given(items: Items, limits: Limits) -> None:
    assert [seq for piece in split(items, limits) for seq in piece.seqs] == items.seqs


@given(items_drawn(), limits_drawn)
def test_every_limit_is_kept_except_by_a_request_that_exceeds_it_alone(items: Items, limits: Limits) -> None:
    for piece in split(items, limits):
        assert fits(items, piece.seqs, limits) or len(piece.seqs) == 1


@given(items_drawn(), limits_drawn)
def test_no_batch_could_have_taken_the_next_request(items: Items, limits: Limits) -> None:
    pieces = list(split(items, limits))
    for piece, following in pairwise(pieces):
        assert not fits(items, [*piece.seqs, following.seqs[0]], limits)


@given(items_drawn(), limits_drawn)
def test_the_sums_of_a_batch_are_those_of_its_requests(items: Items, limits: Limits) -> None:
    for piece in split(items, limits):
        assert piece == Slice(piece.seqs, *sums_of(items, piece.seqs))


def test_the_openai_limits_cut_at_fifty_thousand_requests() -> None:
    pieces = list(split(alike(120_000, size=1_000), Limits()))
    assert [len(piece.seqs) for piece in pieces] == [50_000, 50_000, 20_000]


def test_the_first_batches_of_a_run_grow_to_what_the_provider_takes() -> None:
    def sizes_of(records: int) -> list[int]:
        return [len(piece.seqs) for piece in split(alike(records, size=1_000), Limits(), new=True)]

    assert sizes_of(9_000) == [9_000]
    assert sizes_of(50_000) == [10_000, 10_000, 20_000, 10_000]
    assert sizes_of(200_000) == [10_000, 10_000, 20_000, 40_000, 50_000, 50_000, 20_000]


@given(st.integers(1, 10**7))
def test_at_the_start_a_batch_is_at_most_as_large_as_all_before_it(seq: int) -> None:
    assert most_requests(seq) == max(FIRST_BATCH, seq - 1)


def test_a_batch_is_never_larger_for_being_new() -> None:
    items = alike(30, size=1_000)
    limits = Limits(max_batch_requests=7)
    assert list(split(items, limits, new=True)) == list(split(items, limits))


def test_the_openai_limits_cut_at_two_hundred_megabytes() -> None:
    pieces = list(split(alike(30, size=9_000_000), Limits()))
    assert [len(piece.seqs) for piece in pieces] == [22, 8]


def test_embedding_inputs_are_counted_over_the_lines() -> None:
    limits = Limits(max_batch_inputs=50_000)
    items = Items(list(range(1, 31)), [10] * 30, [10] * 30, [2_000] * 30)
    pieces = list(split(items, limits))
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
