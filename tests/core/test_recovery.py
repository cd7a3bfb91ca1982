"""A create call whose answer is lost: adopt one, cancel the others, or wait until none can appear."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.ids import BatchId, RunId
from nightmail.core.recovery import (
    LISTING_LAG,
    LONGEST_CALL,
    QUARANTINE,
    Candidate,
    Found,
    find,
    is_time_to_seek,
    metadata,
    seek_again_at,
)

SENT = datetime(2026, 11, 21, 8, tzinfo=UTC)
OURS = metadata(RunId("sections-7f3a"), BatchId("sections-7f3a.b1"), 0)
OTHERS = metadata(RunId("sections-7f3a"), BatchId("sections-7f3a.b2"), 0)


def look(
    *candidates: Candidate, after: timedelta = timedelta(0), known: frozenset[str] = frozenset()
) -> Found:
    return find(
        candidates,
        batch_id="sections-7f3a.b1",
        input_file_id="file-1",
        known=known,
        submitted_at=SENT,
        now=SENT + after,
    )


def test_the_batch_with_our_metadata_is_adopted() -> None:
    other = Candidate("batch_9", "file-9", OTHERS, SENT)
    ours = Candidate("batch_1", "file-1", OURS, SENT)
    assert look(other, ours) == Found("batch_1", (), None)


def test_on_a_server_that_drops_metadata_the_input_file_tells() -> None:
    assert look(Candidate("batch_1", "file-1", {}, None)).adopt == "batch_1"
    assert look(Candidate("batch_1", "file-2", {}, None)).adopt is None


def test_metadata_of_somebody_else_decides_against_the_same_file() -> None:
    assert look(Candidate("batch_1", "file-1", OTHERS, SENT)).adopt is None


def test_our_names_on_another_file_are_those_of_another_home() -> None:
    assert look(Candidate("batch_1", "file-2", OURS, SENT)).adopt is None
    assert look(Candidate("batch_1", None, OURS, SENT)).adopt == "batch_1"


def test_foreign_metadata_without_our_key_leaves_the_decision_to_the_file() -> None:
    assert look(Candidate("batch_1", "file-1", {"project": "x"}, SENT)).adopt == "batch_1"


def test_of_several_the_first_created_stays_and_every_other_is_named() -> None:
    late = Candidate("batch_a", "file-1", OURS, SENT + timedelta(seconds=3))
    early = Candidate("batch_c", "file-1", OURS, SENT)
    tied = Candidate("batch_d", "file-1", OURS, SENT)
    assert look(late, tied, early) == Found("batch_c", ("batch_d", "batch_a"), None)


def test_a_batch_that_another_batch_of_ours_has_is_not_adopted_again() -> None:
    ours = Candidate("batch_1", "file-1", OURS, SENT)
    assert look(ours, known=frozenset({"batch_1"})).adopt is None


def test_absence_is_not_believed_before_the_call_and_the_listing_have_had_their_time() -> None:
    assert timedelta(0) < LONGEST_CALL + LISTING_LAG == QUARANTINE
    assert look() == Found(None, (), SENT + QUARANTINE)
    assert look(after=QUARANTINE - timedelta(milliseconds=1)).wait_until == SENT + QUARANTINE


def test_after_the_quarantine_absence_is_believed() -> None:
    assert look(after=QUARANTINE) == Found(None, (), None)


def test_what_was_adopted_before_the_quarantine_is_over_is_looked_for_once_more_then() -> None:
    over = SENT + QUARANTINE
    assert seek_again_at(SENT, listed_at=SENT) == over
    assert seek_again_at(SENT, listed_at=over) is None
    moment = timedelta(milliseconds=1)
    looks = {now: is_time_to_seek(over, now) for now in (SENT, over - moment, over, SENT - moment)}
    assert looks == {SENT: False, over - moment: False, over: True, SENT - moment: True}, (
        "so far ahead it is only after the clock was set back"
    )
    assert not is_time_to_seek(None, over)


def test_a_batch_that_shows_up_late_is_still_adopted() -> None:
    ours = Candidate("batch_1", "file-1", OURS, SENT)
    assert look(ours, after=timedelta(days=1)).adopt == "batch_1"


candidates = st.builds(
    Candidate,
    provider_batch_id=st.sampled_from([f"batch_{n}" for n in range(8)]),
    input_file_id=st.sampled_from([None, "file-1", "file-2"]),
    metadata=st.sampled_from([{}, OURS, OTHERS]),
    created_at=st.none() | st.integers(0, 100).map(lambda seconds: SENT + timedelta(seconds=seconds)),
)


@given(st.lists(candidates, unique_by=lambda each: each.provider_batch_id), st.integers(0, 100), st.randoms())
def test_what_is_found_does_not_depend_on_the_order_of_the_list(
    listed: list[Candidate], seconds: int, chance: object
) -> None:
    shuffled = list(listed)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    after = timedelta(seconds=seconds)
    assert look(*listed, after=after) == look(*shuffled, after=after)


@given(st.lists(candidates, unique_by=lambda each: each.provider_batch_id), st.integers(0, 100))
def test_every_batch_of_ours_is_either_adopted_or_named_as_extra(
    listed: list[Candidate], seconds: int
) -> None:
    found = look(*listed, after=timedelta(seconds=seconds))
    ours = {
        each.provider_batch_id
        for each in listed
        if (each.metadata == OURS and each.input_file_id in (None, "file-1"))
        or (each.metadata == {} and each.input_file_id == "file-1")
    }
    assert {found.adopt, *found.extras} - {None} == ours
    assert found.adopt is None or found.wait_until is None


@pytest.mark.parametrize("attempt", [0, 12])
def test_metadata_fits_the_provider_s_limits(attempt: int) -> None:
    carried = metadata(RunId("r" * 46), BatchId("r" * 46 + ".b123456"), attempt)
    assert len(carried) <= 16
    assert all(len(key) <= 64 and len(value) <= 512 for key, value in carried.items())
