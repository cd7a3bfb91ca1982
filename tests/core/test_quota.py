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
    FIRST_DARED,
    LONGEST_BLOCK,
    WARY,
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


def hold(
    limits=Limits(),
    enqueued=NOTHING,
    learned=Learned(),
    *,
    tokens=10,
    requests=1,
    active=0,
    creates=0,
    now=NOW,
):
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


def refused(before, *, said=None, ours=10, others=0, now=NOW):
    return after_refusal(before, said=said, ours=ours, others=others, now=now)


@pytest.mark.parametrize(
    ("limits", "enqueued", "tokens", "expected"),
    [
        (Limits(), NOTHING, 10**12, None),
        (Limits(), Enqueued(3, 10**12, 3, 3), 10**12, None),
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
    learned = refused(Learned(), said=1_000)

    assert usable_tokens(Limits(), learned, NOW) == int(1_000 * HEADROOM)
    assert usable_tokens(Limits(), learned, NOW + timedelta(hours=3)) == int(1_300 * HEADROOM)
    assert usable_tokens(Limits(max_enqueued_tokens=1_100), learned, NOW + timedelta(days=2)) == int(
        1_100 * HEADROOM
    )


def test_refusals_in_a_row_are_answered_with_growing_patience():
    learned, blocks, now = Learned(), [], NOW
    for _ in range(7):
        now += LONGEST_BLOCK
        learned = refused(learned, now=now)
        blocks.append(learned.blocked_until - now)

    assert blocks[:3] == [FIRST_BLOCK, 2 * FIRST_BLOCK, 4 * FIRST_BLOCK]
    assert blocks[-1] == LONGEST_BLOCK
    assert learned.limit is None


def test_after_a_refusal_one_batch_at_a_time_is_tried_until_one_is_taken():
    learned = refused(Learned())
    later = NOW + FIRST_BLOCK

    assert hold(Limits(), learned=learned) is Hold.BLOCKED
    assert hold(Limits(), learned=learned, now=later) is None
    assert hold(Limits(), Enqueued(1, 10, 1, 1), learned, now=later) is Hold.BLOCKED
    assert hold(Limits(), Enqueued(1, 10, 1, 0), after_acceptance(learned), now=later) is None


def test_after_somebody_elses_work_was_met_batches_go_one_by_one_for_an_hour():
    taken = after_acceptance(refused(Learned()))
    beside = Enqueued(5, 50, 5, 1)

    assert hold(Limits(max_enqueued_tokens=1_000), beside, taken, now=NOW + WARY) is Hold.UNSURE
    assert hold(Limits(max_enqueued_tokens=1_000), Enqueued(5, 50, 5, 0), taken, now=NOW + WARY) is None
    assert hold(Limits(max_enqueued_tokens=1_000), beside, taken, now=NOW + WARY + FIRST_BLOCK) is None


def test_a_refusal_that_its_named_limit_explains_blocks_nothing():
    learned = refused(Learned(), said=1_000, ours=400, others=800)

    assert (learned.limit, learned.refusals, learned.blocked_until) == (1_000, 0, None)
    assert refused(Learned(), said=1_000, ours=4_000).blocked_until is None, "too large by itself: cut anew"


def test_a_refusal_below_the_limit_that_it_names_is_somebody_elses_doing():
    learned = refused(Learned(), said=1_000, ours=100, others=300)

    assert (learned.limit, learned.refusals) == (1_000, 1)
    assert learned.blocked_until == NOW + FIRST_BLOCK


def test_a_request_that_is_refused_again_for_its_size_is_not_sent_at_once():
    first = refused(Learned(), said=1_000, ours=4_000)

    assert refused(first, said=1_000, ours=4_000).blocked_until == NOW + FIRST_BLOCK


def test_a_queue_that_is_shut_is_waited_for_and_no_limit_to_cut_by():
    learned = refused(Learned(), said=0)

    assert (learned.limit, learned.blocked_until) == (None, NOW + FIRST_BLOCK)


def test_the_refusals_of_one_wave_count_once():
    learned = Learned()
    for seconds in range(0, 50, 10):
        learned = refused(learned, now=NOW + timedelta(seconds=seconds))

    assert (learned.refusals, learned.blocked_until) == (1, NOW + FIRST_BLOCK)


@given(st.integers(1, 200))
def test_into_an_unknown_queue_as_many_batches_are_sent_as_it_has_taken(wanted):
    sent, taken, rounds = 0, 0, 0
    while sent < wanted:
        while sent < wanted and hold(Limits(), Enqueued(sent, sent * 10, sent, sent - taken)) is None:
            sent += 1
        assert sent - taken <= max(FIRST_DARED, taken)
        taken, rounds = sent, rounds + 1
    assert rounds <= 7, "it doubles"


def test_a_known_queue_is_filled_at_once():
    limits = Limits(max_enqueued_tokens=1_000)

    assert hold(limits, Enqueued(50, 500, 50, 50)) is None
    assert hold(Limits(), Enqueued(50, 500, 50, 50)) is Hold.UNSURE
    assert hold(Limits(), Enqueued(50, 500, 50, 50), refused(Learned(), said=1_000, others=990)) is None


def test_a_batch_that_was_planned_before_the_limit_was_known_is_cut_anew():
    learned = refused(Learned(), said=1_000, others=990)

    assert hold(learned=learned, tokens=951, requests=2) is Hold.OUTGROWN
    assert hold(learned=learned, tokens=950, requests=2) is None
    assert hold(learned=learned, tokens=951, requests=1) is None, "it cannot be cut, so it goes alone"
    assert hold(Limits(max_enqueued_tokens=500), tokens=10**9, requests=2) is None


def turn(mine, *others, now=NOW, tokens=100, room=1_000, slots=None):
    return goes_first(mine, others, now, tokens=tokens, room=room, slots=slots)


def test_the_higher_priority_goes_first():
    mine = Claimant(1, 0, NOW, 0, 0)

    assert turn(mine)
    assert not turn(mine, Claimant(2, 1, NOW, 900, 9))
    assert turn(mine, Claimant(2, -1, NOW, 0, 0))


def test_equals_may_each_fill_an_equal_part():
    other = Claimant(2, 0, NOW, 0, 0)

    assert turn(Claimant(1, 0, NOW, 400, 4), other)
    assert not turn(Claimant(1, 0, NOW, 401, 4), other)
    assert turn(Claimant(1, 0, NOW, 900, 9)), "alone it may have all"
    assert turn(Claimant(1, 0, NOW, 900, 9), other, room=None), "nothing is scarce"
    assert turn(Claimant(1, 0, NOW, 0, 4), other, room=None, slots=10)
    assert not turn(Claimant(1, 0, NOW, 1, 5), other, room=None, slots=10)


def test_a_part_that_is_too_small_goes_to_whoever_has_least():
    many = [Claimant(n, 0, NOW, 100, 1) for n in range(2, 20)]

    assert turn(Claimant(1, 0, NOW, 0, 0), *many)
    assert not turn(Claimant(1, 0, NOW, 200, 2), *many)


def test_waiting_makes_up_for_priority_so_that_nothing_starves():
    patient = Claimant(1, 0, NOW, 500, 5)
    urgent = Claimant(2, 3, NOW + 4 * AGEING, 0, 0)

    assert not turn(patient, urgent, now=NOW + 2 * AGEING)
    assert turn(patient, urgent, now=NOW + 4 * AGEING)


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 10**6)), min_size=1, max_size=6),
    st.integers(1, 10**6),
)
def test_there_is_always_somebody_whose_turn_it_is(waiting, room):
    claimants = [Claimant(n, priority, NOW, tokens, 1) for n, (priority, tokens) in enumerate(waiting)]

    assert any(
        turn(each, *[other for other in claimants if other is not each], room=room) for each in claimants
    )
