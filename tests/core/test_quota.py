"""Whether a batch may be submitted now."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.limits import Limits
from nightmail.core.planning import HEADROOM
from nightmail.core.quota import Enqueued, admits

NOTHING = Enqueued(0, 0)


@pytest.mark.parametrize(
    ("limits", "enqueued", "tokens", "expected"),
    [
        (Limits(), NOTHING, 10**12, True),
        (Limits(), Enqueued(500, 10**12), 10**12, True),
        (Limits(max_enqueued_tokens=1_000), Enqueued(1, 800), 100, True),
        (Limits(max_enqueued_tokens=1_000), Enqueued(1, 800), 101, False),
        (Limits(max_active_batches=2), Enqueued(1, 5), 5, True),
        (Limits(max_active_batches=2), Enqueued(2, 5), 5, False),
        (Limits(max_active_batches=0), NOTHING, 1, False),
    ],
)
def test_the_limits_decide(limits: Limits, enqueued: Enqueued, tokens: int, expected: bool) -> None:
    assert admits(limits, enqueued, tokens) is expected


def test_a_batch_larger_than_the_whole_quota_goes_alone() -> None:
    limits = Limits(max_enqueued_tokens=1_000)
    assert admits(limits, NOTHING, 5_000)
    assert not admits(limits, Enqueued(1, 1), 5_000)


def test_a_batch_larger_than_the_whole_quota_still_needs_a_slot() -> None:
    assert not admits(Limits(max_enqueued_tokens=1_000, max_active_batches=1), Enqueued(1, 0), 5_000)


@given(st.integers(1, 10**6), st.lists(st.integers(1, 10**5), max_size=40))
def test_admitting_one_after_the_other_never_fills_the_queue_beyond_its_headroom(
    quota: int, wanted: list[int]
) -> None:
    limits = Limits(max_enqueued_tokens=quota)
    room = int(quota * HEADROOM)
    enqueued = NOTHING
    for tokens in wanted:
        if admits(limits, enqueued, tokens):
            enqueued = Enqueued(enqueued.batches + 1, enqueued.tokens + tokens)
        assert enqueued.tokens <= room or enqueued.batches == 1
