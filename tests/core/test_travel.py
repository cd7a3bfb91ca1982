from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.batch import Batch, BatchState, Phase
from nightmail.core.ids import BatchId, RunId
from nightmail.core.request import Endpoint, Mode
from nightmail.core.run import Run, RunSpec, RunState
from nightmail.core.travel import (
    FEW,
    comes_too_late,
    deadline_of,
    in_last_stretch,
    leaves_at,
    may_cost_more,
    mode_of,
    parse_duration,
)

T0 = datetime(2026, 11, 21, 18, tzinfo=UTC)


def run_with(mode=Mode.BATCH, *, hours=None, records=1_000, hurried_at=None):
    seconds = None if hours is None else hours * 3_600
    return Run(
        run_no=1,
        run_id=RunId("r-0000"),
        identity="",
        state=RunState.DRAINING,
        spec=RunSpec(task="t:T", task_name="t", mode=mode, deadline_seconds=seconds),
        fingerprint={},
        created_at=T0,
        sealed=True,
        record_count=records,
        hurried_at=hurried_at,
    )


def batch_with(*, completed, total=100, phase=Phase.IN_PROGRESS, submitted_at=T0):
    return Batch(
        batch_no=1, run_no=1, batch_id=BatchId("r-0000.1"), state=BatchState.IN_PROGRESS, mode=Mode.BATCH,
        account="a", model="m", endpoint=Endpoint.CHAT, requests=total, tokens=1, bytes=1, inputs=1,
        first_seq=1, last_seq=total, created_at=T0, submitted_at=submitted_at, completed=completed,
        total=total, phase=phase,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6h", 21_600), ("90m", 5_400), ("1d12h", 129_600), ("45s", 45), ("1.5h", 5_400)],
)
def test_a_length_of_time_is_read_as_people_write_it(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "6", "h", "6 h", "tomorrow", "-6h", "6h!", "0s"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="write it like 6h"):
        parse_duration(text)


def test_a_deadline_counts_from_the_first_start():
    assert deadline_of(run_with(hours=6)) == T0 + timedelta(hours=6)
    assert deadline_of(run_with()) is None


def test_a_run_leaves_in_time_to_cancel_and_to_call_the_rest():
    # 15 minutes of last stretch, 10 of cancelling, 600 s for 6,000 calls at ten a second.
    leaves = leaves_at(run_with(hours=6), open_requests=6_000)

    assert leaves == T0 + timedelta(hours=6) - timedelta(minutes=35)


@given(hours=st.floats(0.001, 48), count=st.integers(0, 10_000_000))
def test_at_least_a_quarter_of_the_time_is_the_batch_apis(hours, count):
    run = run_with(hours=hours)
    leaves, deadline = leaves_at(run, open_requests=count), deadline_of(run)

    assert leaves is not None
    assert deadline is not None
    assert (leaves - T0) >= (deadline - T0) * 0.2499
    assert leaves < deadline


@given(minutes=st.integers(0, 600), flex=st.booleans(), mode=st.sampled_from(Mode))
def test_a_run_without_a_deadline_never_changes_its_mode(minutes, flex, mode):
    run = run_with(mode)

    assert mode_of(run, flex=flex, now=T0 + timedelta(minutes=minutes)) is mode_of(run, flex=flex, now=T0)


def test_a_hurried_run_goes_by_flex_where_there_is_some_and_at_once_in_the_last_stretch():
    run = run_with(hours=6, hurried_at=T0)
    late = T0 + timedelta(hours=5, minutes=50)

    assert mode_of(run, flex=True, now=T0) is Mode.FLEX
    assert mode_of(run, flex=False, now=T0) is Mode.SYNC
    assert not in_last_stretch(run, T0)
    assert in_last_stretch(run, late)
    assert mode_of(run, flex=True, now=late) is Mode.SYNC


def test_auto_calls_few_records_and_batches_many():
    few, many = run_with(Mode.AUTO, records=FEW), run_with(Mode.AUTO, records=FEW + 1)

    assert mode_of(few, flex=True, now=T0) is Mode.FLEX
    assert mode_of(few, flex=False, now=T0) is Mode.SYNC
    assert mode_of(many, flex=True, now=T0) is Mode.BATCH


def test_who_asks_for_flex_and_names_no_deadline_never_pays_more():
    assert not may_cost_more(run_with(Mode.FLEX))
    assert may_cost_more(run_with(Mode.FLEX, hours=6))
    assert may_cost_more(run_with(Mode.AUTO))


def test_a_batch_comes_too_late_if_its_pace_says_so():
    now, deadline = T0 + timedelta(hours=1), T0 + timedelta(hours=2)

    assert not comes_too_late(batch_with(completed=60), deadline, now)
    assert comes_too_late(batch_with(completed=40), deadline, now)
    assert comes_too_late(batch_with(completed=0), deadline, now)
    assert comes_too_late(batch_with(completed=None), deadline, now)
    assert not comes_too_late(batch_with(completed=None, phase=Phase.FINALIZING), deadline, now)
