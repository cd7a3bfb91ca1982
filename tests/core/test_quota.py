"""Whether a batch may be submitted now: room, refusals, turns."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.limits import Limits
from nightmail.core.planning import HEADROOM
from nightmail.core.quota import (
    AGEING,
    FIRST_BLOCK,
    LONGEST_BLOCK,
    Claimant,
    Enqueued,
    Hold,
    Learned,
    after_acceptance,
    after_refusal,
    goes_first,
    hold_of,
    usable_tokens,
)

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
NOTHING = Enqueued()


def hold(limits, enqueued=NOTHING, learned=Learned(), *, tokens=10, requests=1, active=0, creates=0, now=NOW):
    return hold_of(
        limits,
        learned,
        enqueued,
        active_batches=active,
        creates_this_hour=creates,
        tokens=tokens,
        requests=requests,
        now=now,
    )


@pytest.mark.parametrize(
    ("limits", "enqueued", "tokens", "expected"),
    [
        (Limits(), NOTHING, 10**12, None),
        (Limits(), Enqueued(500, 10**12), 10**12, None),
        (Limits(max_enqueued_tokens=1_000), Enqueued(1, 850), 100, None),
        (Limits(max_enqueued_tokens=1_000), Enqueued(1, 850), 101, Hold.QUEUE),
        (Limits(max_enqueued_tokens=1_000), NOTHING, 5_000, None),
        (Limits(max_enqueued_tokens=1_000), Enqueued(1, 1), 5_000, Hold.QUEUE),
        (Limits(max_enqueued_requests=10), Enqueued(1, 1, 10), 1, Hold.QUEUE),
    ],
)
def test_the_queue_decides(limits, enqueued, tokens, expected):
    assert hold(limits, enqueued, tokens=tokens) == expected


def test_batches_in_flight_and_creates_have_their_own_ceilings():
    assert hold(Limits(max_active_batches=2), active=1) is None
    assert hold(Limits(max_active_batches=2), active=2) is Hold.BATCHES
    assert hold(Limits(max_creates_per_hour=2_000), creates=1_999) is None
    assert hold(Limits(max_creates_per_hour=2_000), creates=2_000) is Hold.CREATES


@given(st.integers(1, 10**6), st.lists(st.integers(1, 10**5), max_size=40))
def test_admitting_one_after_the_other_never_fills_the_queue_beyond_its_headroom(quota, wanted):
    limits = Limits(max_enqueued_tokens=quota)
    enqueued = NOTHING
    for tokens in wanted:
        if hold(limits, enqueued, tokens=tokens) is None:
            enqueued = Enqueued(enqueued.batches + 1, enqueued.tokens + tokens)
        assert enqueued.tokens <= int(quota * HEADROOM) or enqueued.batches == 1


def test_a_named_limit_is_kept_and_slowly_probed_upwards_but_never_over_what_is_known():
    learned = after_refusal(Learned(), said=1_000, now=NOW)

    assert usable_tokens(Limits(), learned, NOW) == int(1_000 * HEADROOM)
    assert usable_tokens(Limits(), learned, NOW + timedelta(hours=3)) == int(1_300 * HEADROOM)
    assert usable_tokens(Limits(max_enqueued_tokens=1_100), learned, NOW + timedelta(days=2)) == int(
        1_100 * HEADROOM
    )


def test_refusals_in_a_row_are_answered_with_growing_patience():
    learned, blocks = Learned(), []
    for _ in range(7):
        learned = after_refusal(learned, said=None, now=NOW)
        blocks.append(learned.blocked_until - NOW)

    assert blocks[:3] == [FIRST_BLOCK, 2 * FIRST_BLOCK, 4 * FIRST_BLOCK]
    assert blocks[-1] == LONGEST_BLOCK
    assert learned.limit is None


def test_after_a_refusal_one_batch_at_a_time_is_tried_until_one_is_taken():
    refused = after_refusal(Learned(), said=None, now=NOW)
    later = NOW + FIRST_BLOCK

    assert hold(Limits(), learned=refused) is Hold.BLOCKED
    assert hold(Limits(), learned=refused, now=later) is None
    assert hold(Limits(), Enqueued(1, 10, 1, 1), refused, now=later) is Hold.BLOCKED
    assert hold(Limits(), Enqueued(1, 10, 1, 1), after_acceptance(refused), now=later) is None


def test_the_higher_priority_goes_first_then_the_smaller_share():
    mine = Claimant(1, 0, NOW, 500)

    assert goes_first(mine, [], NOW)
    assert not goes_first(mine, [Claimant(2, 1, NOW, 900)], NOW)
    assert not goes_first(mine, [Claimant(2, 0, NOW, 400)], NOW)
    assert goes_first(mine, [Claimant(2, 0, NOW, 600)], NOW)


def test_waiting_makes_up_for_priority_so_that_nothing_starves():
    patient = Claimant(1, 0, NOW, 500)
    urgent = Claimant(2, 3, NOW + 4 * AGEING, 0)

    assert goes_first(patient, [urgent], NOW + 4 * AGEING)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 10**6)), min_size=1, max_size=6))
def test_there_is_always_exactly_one_whose_turn_it_is(waiting):
    claimants = [Claimant(n, priority, NOW, tokens) for n, (priority, tokens) in enumerate(waiting)]

    turns = [goes_first(each, [other for other in claimants if other is not each], NOW) for each in claimants]

    assert turns.count(True) == 1
