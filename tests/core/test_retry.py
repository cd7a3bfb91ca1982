"""What becomes of a request whose attempt did not succeed: one test per row of the table in
docs/explanation/what-happens-when.md."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.failure import Reason
from nightmail.core.result import Outcome, Rejection
from nightmail.core.retry import (
    MAX_DELAY,
    AfterFailure,
    Again,
    RetryDecision,
    RetryPolicy,
    after_batch_failure,
    after_no_answer,
    after_rejection,
    backoff,
)

FOUR = RetryPolicy(max_attempts=4)
WITH_FALLBACK = RetryPolicy(max_attempts=4, fallback=True)


def rejected(
    rejection: Rejection, policy: RetryPolicy = FOUR, attempts: int = 1, cap_can_grow: bool = True
) -> RetryDecision:
    return after_rejection(rejection, policy, attempts=attempts, cap_can_grow=cap_can_grow)


def unanswered(
    outcome: Outcome, status: int | None = None, attempts: int = 0, expiries: int = 0
) -> RetryDecision:
    return after_no_answer(outcome, FOUR, status=status, attempts=attempts, expiries=expiries)


def test_a_truncated_answer_goes_again_with_a_larger_cap() -> None:
    decision = rejected(Rejection.TRUNCATED)
    assert (decision.again, decision.reason) == (Again.LARGER_CAP, Reason.TRUNCATED)
    assert decision.costs_attempt


def test_a_truncated_answer_is_never_asked_for_with_the_same_cap() -> None:
    assert rejected(Rejection.TRUNCATED, cap_can_grow=False).again is None
    assert rejected(Rejection.TRUNCATED, WITH_FALLBACK, attempts=3).again is Again.LARGER_CAP


@pytest.mark.parametrize("rejection", [Rejection.MALFORMED, Rejection.SCHEMA, Rejection.CHECK])
def test_a_bad_answer_goes_again_as_a_repair(rejection: Rejection) -> None:
    decision = rejected(rejection)
    assert (decision.again, decision.reason.value) == (Again.REPAIR, rejection.value)
    assert decision.delay == timedelta(0)


@pytest.mark.parametrize("rejection", [Rejection.MALFORMED, Rejection.SCHEMA, Rejection.CHECK])
def test_the_last_attempt_is_the_fallback_model_s_if_the_task_names_one(rejection: Rejection) -> None:
    asked = [rejected(rejection, WITH_FALLBACK, attempts).again for attempts in (1, 2, 3, 4)]
    assert asked == [Again.REPAIR, Again.REPAIR, Again.FALLBACK, None]
    assert [rejected(rejection, FOUR, attempts).again for attempts in (1, 2, 3, 4)] == [
        Again.REPAIR, Again.REPAIR, Again.REPAIR, None
    ]  # fmt: skip


def test_a_refusal_is_final_unless_the_task_says_otherwise() -> None:
    decision = rejected(Rejection.REFUSED)
    assert (decision.again, decision.reason) == (None, Reason.REFUSED)
    willing = RetryPolicy(retry_refusals=True)
    assert rejected(Rejection.REFUSED, willing).again is Again.REPAIR


@pytest.mark.parametrize("status", [None, 0, 408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_a_line_that_may_pass_another_time_goes_again_unchanged_with_backoff(status: int | None) -> None:
    decision = unanswered(Outcome.ERRORED, status)
    assert (decision.again, decision.reason) == (Again.UNCHANGED, Reason.UNAVAILABLE)
    assert decision.costs_attempt
    assert decision.delay == backoff(1)
    assert unanswered(Outcome.ERRORED, status, attempts=3).again is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_a_line_that_the_provider_calls_wrong_fails_at_once(status: int) -> None:
    decision = unanswered(Outcome.ERRORED, status)
    assert (decision.again, decision.reason) == (None, Reason.INVALID)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.EXPIRED, Reason.EXPIRED),
        (Outcome.CANCELLED, Reason.EXPIRED),
        (Outcome.MISSING, Reason.MISSING),
    ],
)
def test_what_the_provider_did_not_get_to_goes_again_and_costs_no_attempt(
    outcome: Outcome, reason: Reason
) -> None:
    decision = unanswered(outcome, attempts=3)
    assert (decision.again, decision.reason) == (Again.UNCHANGED, reason)
    assert not decision.costs_attempt


@pytest.mark.parametrize("outcome", [Outcome.EXPIRED, Outcome.CANCELLED, Outcome.MISSING])
def test_what_the_provider_never_gets_to_fails_after_its_own_ceiling(outcome: Outcome) -> None:
    asked = [unanswered(outcome, expiries=expiries).again for expiries in range(10)]
    assert asked == [Again.UNCHANGED] * 9 + [None]


@given(
    st.sampled_from(Rejection), st.integers(1, 10), st.booleans(), st.booleans(), st.booleans(),
    st.integers(1, 10),
)  # fmt: skip
def test_no_rejection_is_asked_again_beyond_the_ceiling(
    rejection: Rejection, most: int, fallback: bool, refusals: bool, grows: bool, attempts: int
) -> None:
    policy = RetryPolicy(max_attempts=most, fallback=fallback, retry_refusals=refusals)
    decision = after_rejection(rejection, policy, attempts=attempts, cap_can_grow=grows)
    assert decision.reason.value == rejection.value
    assert decision.again is None or attempts < most
    assert decision.again is not Again.UNCHANGED


@given(st.integers(1, 200))
def test_backoff_grows_to_ten_minutes(attempts: int) -> None:
    assert backoff(1) == timedelta(seconds=1)
    assert backoff(attempts) <= backoff(attempts + 1) <= timedelta(seconds=MAX_DELAY)


@pytest.mark.parametrize(
    ("code", "message", "line", "requests", "expected"),
    [
        # The first message is the provider's own (facts A.4).
        ("token_limit_exceeded",
         "Enqueued token limit reached for gpt-4o in organization org-1. Limit: 90,000 enqueued tokens.",
         None, 500, AfterFailure.RETURN),
        (None, "Enqueued request limit reached ... Limit: 1,000,000 enqueued requests", None, 500,
         AfterFailure.RETURN),
        ("token_limit_exceeded", None, None, 1, AfterFailure.RETURN),
        ("billing_hard_limit_reached", "Billing hard limit has been reached", None, 500,
         AfterFailure.PAUSE),
        ("organization_spend_limit_exceeded", None, None, 500, AfterFailure.PAUSE),
        ("insufficient_quota", "You exceeded your current quota", None, 1, AfterFailure.PAUSE),
        ("invalid_json_line", "This line is not parseable as valid JSON.", 1, 500, AfterFailure.DROP_LINE),
        ("invalid_request", "bad", 500, 500, AfterFailure.DROP_LINE),
        ("invalid_request", "bad", 501, 500, AfterFailure.HALVE),
        ("invalid_request", "bad", 0, 500, AfterFailure.HALVE),
        ("invalid_request", "bad", 1, 1, AfterFailure.FAIL),
        ("something_new", "a message nobody has seen", None, 500, AfterFailure.HALVE),
        ("something_new", None, None, 2, AfterFailure.HALVE),
        (None, None, None, 1, AfterFailure.FAIL),
    ],
)  # fmt: skip
def test_a_whole_batch_s_failure_is_decided_from_its_first_error(
    code: str | None, message: str | None, line: int | None, requests: int, expected: AfterFailure
) -> None:
    assert after_batch_failure(code, message, line, requests=requests) is expected


@pytest.mark.parametrize(
    ("requests", "tokens", "limit", "expected"),
    [
        (1, 90_001, 90_000, AfterFailure.FAIL),
        (1, 90_000, 90_000, AfterFailure.RETURN),
        (1, 90_001, None, AfterFailure.RETURN),
        (1, 90_001, 0, AfterFailure.RETURN),
        (2, 90_001, 90_000, AfterFailure.RETURN),
    ],
)
def test_only_a_request_that_the_queue_can_never_hold_is_given_up(
    requests: int, tokens: int, limit: int | None, expected: AfterFailure
) -> None:
    code = "token_limit_exceeded"
    then = after_batch_failure(code, None, None, requests=requests, tokens=tokens, limit=limit)
    assert then is expected


@given(st.none() | st.text(), st.none() | st.text(), st.none() | st.integers(), st.integers(1, 50_000))
def test_no_text_of_a_provider_makes_the_decision_raise(
    code: str | None, message: str | None, line: int | None, requests: int
) -> None:
    then = after_batch_failure(code, message, line, requests=requests)
    assert then is not AfterFailure.HALVE or requests > 1
    if then is AfterFailure.DROP_LINE:
        assert line is not None
        assert 1 <= line <= requests


def test_every_rejection_is_a_reason_of_the_same_name() -> None:
    assert {each.value for each in Rejection} <= {each.value for each in Reason}
