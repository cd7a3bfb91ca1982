"""What a run looks like from outside: the sums hold, and the summary keeps its keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.batch import Batch, BatchState
from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.progress import ACTIVE_STATES, RunStatus, eta, status_of, summary, totals_of, usd
from nightmail.core.request import Endpoint, Mode, RequestState
from nightmail.core.run import Run, RunSpec, RunState

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
# Design section 7: scripts rely on these.
CONTRACT = (
    "run_id", "state", "records", "succeeded", "failed", "cancelled", "open", "batches", "requests_sent",
    "input_tokens", "output_tokens", "cost_usd", "sync_cost_usd", "savings_usd", "wasted_usd", "output",
    "failures", "failures_by_reason",
)  # fmt: skip


def a_run(**changes: Any) -> Run:
    spec = RunSpec(task="sections.py:Sections", task_name="Sections", output="/there/out.parquet")
    fields: dict[str, Any] = {
        "run_no": 1, "run_id": RunId("sections-7f3a"), "identity": "x", "state": RunState.DRAINING,
        "spec": spec, "fingerprint": {}, "created_at": NOW, "sealed": True, **changes,
    }  # fmt: skip
    return Run(**fields)


def a_batch(state: BatchState, **changes: Any) -> Batch:
    fields: dict[str, Any] = {
        "batch_no": 1, "run_no": 1, "batch_id": BatchId("sections-7f3a.b1"), "state": state,
        "mode": Mode.BATCH, "account": "here", "model": "gpt-4o-mini", "endpoint": Endpoint.CHAT,
        "requests": 10, "tokens": 1_000, "bytes": 9, "inputs": 10, "first_seq": 1, "last_seq": 10,
        "created_at": NOW, **changes,
    }  # fmt: skip
    return Batch(**fields)


def status(
    states: dict[RequestState, int] | None = None,
    batches: Sequence[Batch] = (),
    reasons: dict[Reason, int] | None = None,
    now: datetime = NOW,
    **changes: Any,
) -> RunStatus:
    return status_of(
        a_run(**changes),
        states=states or {},
        reasons=reasons or {},
        again={},
        totals=totals_of(batches),
        active=[batch for batch in batches if batch.state in ACTIVE_STATES],
        quotas={"gpt-4o-mini": 500_000},
        failures="/there/out.failures.jsonl",
        now=now,
    )


@given(st.dictionaries(st.sampled_from(RequestState), st.integers(0, 10**7)))
def test_records_are_the_sum_of_what_became_of_them(states: dict[RequestState, int]) -> None:
    found = status(states)
    assert found.records == sum(states.values())
    assert found.records == found.succeeded + found.failed + found.cancelled + found.open


def test_the_summary_has_every_key_of_the_contract_and_is_json() -> None:
    written = summary(status({RequestState.FAILED: 2}, reasons={Reason.REFUSED: 2}))
    assert tuple(written)[: len(CONTRACT)] == CONTRACT
    read = json.loads(json.dumps(written))
    assert read["failures_by_reason"] == {"refused": 2}
    assert read["state"] == "draining"
    assert read["failures"] == "/there/out.failures.jsonl"


def test_without_a_failure_there_is_no_failures_file() -> None:
    assert status({RequestState.SUCCEEDED: 5}).failures is None


def test_money_is_written_as_plain_decimals_and_what_is_unknown_as_unknown() -> None:
    settled = {"settled_at": NOW, "submitted_at": NOW, "ended_at": NOW}
    known = a_batch(BatchState.SETTLED, cost_pusd=75_000, sync_cost_pusd=150_000, wasted_pusd=0, **settled)
    written = summary(status(batches=[known, known]))
    assert (written["cost_usd"], written["sync_cost_usd"]) == ("0.00000015", "0.0000003")
    assert (written["savings_usd"], written["wasted_usd"]) == ("0.00000015", "0.0")
    unknown = a_batch(BatchState.SETTLED, cost_pusd=None, sync_cost_pusd=None, wasted_pusd=None, **settled)
    written = summary(status(batches=[known, unknown]))
    assert {written[key] for key in ("cost_usd", "sync_cost_usd", "savings_usd", "wasted_usd")} == {"unknown"}


def test_what_was_sent_is_what_the_provider_took_or_may_have_taken() -> None:
    batches = [
        a_batch(BatchState.PLANNED),
        a_batch(BatchState.SUBMITTING, submitted_at=NOW),
        a_batch(BatchState.IN_PROGRESS, submitted_at=NOW),
        a_batch(BatchState.FINALISED, submitted_at=NOW, settled_at=NOW, ended_at=NOW, finalised_at=NOW),
        a_batch(BatchState.ABANDONED, submitted_at=NOW, settled_at=NOW),
    ]
    found = status(batches=batches)
    assert found.requests_sent == 30
    assert found.enqueued_tokens == 2_000
    assert [view.state for view in found.active] == [BatchState.SUBMITTING, BatchState.IN_PROGRESS]
    assert (found.batches, found.batches_done) == (5, 2)


@pytest.mark.parametrize(
    ("state", "states", "code"),
    [
        (RunState.FINISHED, {RequestState.SUCCEEDED: 3}, 0),
        (RunState.FINISHED, {RequestState.SUCCEEDED: 3, RequestState.FAILED: 1}, 1),
        (RunState.CANCELLED, {RequestState.SUCCEEDED: 3, RequestState.CANCELLED: 1}, 1),
        (RunState.DRAINING, {RequestState.SUCCEEDED: 3, RequestState.READY: 1}, 3),
        (RunState.PAUSED, {RequestState.READY: 1}, 3),
        (RunState.OPEN, {}, 3),
    ],
)
def test_the_exit_code_says_how_it_ended(state: RunState, states: dict[RequestState, int], code: int) -> None:
    assert status(states, state=state).exit_code == code


def test_the_error_of_our_token_counts_is_shown_once_something_was_billed() -> None:
    assert status().token_error is None
    assert status(counted_tokens=1_000, billed_tokens=1_020).token_error == pytest.approx(0.02)


def test_the_end_is_guessed_only_once_something_is_through() -> None:
    batches = [a_batch(BatchState.IN_PROGRESS, submitted_at=NOW)]
    later = NOW + timedelta(hours=1)
    half = {RequestState.SUCCEEDED: 50, RequestState.IN_BATCH: 50}
    assert status({RequestState.IN_BATCH: 100}, batches, now=later).eta is None
    assert status(half, batches, now=later, sealed=False).eta is None
    assert status({RequestState.SUCCEEDED: 100}, batches, now=later).eta is None
    guess = status(half, batches, now=later).eta
    assert guess is not None
    assert guess[0] < timedelta(hours=1) < guess[1]


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_guess_of_the_end_is_a_range_in_the_future(through: int, left: int, seconds: int) -> None:
    guess = eta(through, through + left, NOW, NOW + timedelta(seconds=seconds))
    if guess is not None:
        assert timedelta(0) <= guess[0] <= guess[1]
    assert eta(through, through + left, None, NOW) is None


def test_dollars_are_exact() -> None:
    assert str(usd(75_000)) == "7.5E-8"
    assert usd(None) is None
