"""What becomes of a request whose attempt did not succeed: again, when, with what; or final.

A success is never sent again, a refusal by the provider's own 4xx neither: repeating it is pure loss.
What the provider did not get to (expired, missing, cancelled by somebody else) costs no attempt, but
has a ceiling of its own, so that nothing goes round for ever.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

import msgspec

from nightmail.core.failure import Reason
from nightmail.core.result import Outcome, Rejection

RETRYABLE_STATUS = frozenset({0, 408, 409, 425, 429})
# A whole batch's quota or rate troubles last minutes; a line's are over sooner.
FIRST_DELAY = 1.0
MAX_DELAY = 600.0
# As they are spread, no request waits longer. One that seems to was put off before the clock was set back.
LONGEST_DELAY = timedelta(seconds=2 * MAX_DELAY)


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Ceilings. `max_attempts` counts the answers a record may cost, the first included."""

    max_attempts: int = 4
    max_expiries: int = 10
    fallback: bool = False  # the task names a second model for its last attempt
    retry_refusals: bool = False


class Again(StrEnum):
    """How a request is asked again."""

    UNCHANGED = "unchanged"
    REPAIR = "repair"  # the conversation, the bad answer, the complaint
    LARGER_CAP = "larger_cap"  # the same with twice the output cap
    FALLBACK = "fallback"  # a repair, by the fallback model


class RetryDecision(msgspec.Struct, frozen=True, kw_only=True):
    """`again` is None when the failure is final, then `reason` says why."""

    again: Again | None
    reason: Reason
    delay: timedelta = timedelta(0)
    costs_attempt: bool = True


def backoff(attempts: int) -> timedelta:
    """1 s, 4 s, 16 s ... ten minutes at most."""
    return timedelta(seconds=min(MAX_DELAY, FIRST_DELAY * 4.0 ** min(attempts - 1, 10)))


def after_rejection(
    rejection: Rejection, policy: RetryPolicy, *, attempts: int, cap_can_grow: bool
) -> RetryDecision:
    """An answer came (and was paid) and will not do; `attempts` counts it."""
    reason = Reason(rejection.value)
    if attempts >= policy.max_attempts:
        return RetryDecision(again=None, reason=reason)
    if rejection is Rejection.REFUSED and not policy.retry_refusals:
        return RetryDecision(again=None, reason=reason)
    if rejection is Rejection.TRUNCATED:
        # The same cap would cut at the same place.
        return RetryDecision(again=Again.LARGER_CAP if cap_can_grow else None, reason=reason)
    if policy.fallback and attempts == policy.max_attempts - 1:
        return RetryDecision(again=Again.FALLBACK, reason=reason)
    return RetryDecision(again=Again.REPAIR, reason=reason)


def after_no_answer(
    outcome: Outcome, policy: RetryPolicy, *, status: int | None, attempts: int, expiries: int
) -> RetryDecision:
    """No answer came. `attempts` and `expiries` count what was before this."""
    if outcome in (Outcome.EXPIRED, Outcome.MISSING, Outcome.CANCELLED):
        reason = Reason.MISSING if outcome is Outcome.MISSING else Reason.EXPIRED
        again = Again.UNCHANGED if expiries + 1 < policy.max_expiries else None
        return RetryDecision(again=again, reason=reason, costs_attempt=False)
    if status is None or status in RETRYABLE_STATUS or status >= 500:
        again = Again.UNCHANGED if attempts + 1 < policy.max_attempts else None
        return RetryDecision(again=again, reason=Reason.UNAVAILABLE, delay=backoff(attempts + 1))
    return RetryDecision(again=None, reason=Reason.INVALID)


class AfterFailure(StrEnum):
    """What becomes of the requests of a batch that the provider refused whole."""

    RETURN = "return"  # all go again as they are: the queue was full, the file was gone
    PAUSE = "pause"  # all go again, once somebody has seen to the account
    DROP_LINE = "drop_line"  # the named one fails, the rest goes again
    HALVE = "halve"  # sent again in two halves, which finds the poison
    FAIL = "fail"  # a single request, refused by itself


QUEUE_CODES = frozenset({"token_limit_exceeded", "request_limit_exceeded", "enqueued_token_limit_exceeded"})
BILLING_CODES = frozenset({"billing_hard_limit_reached", "insufficient_quota", "credit_balance_exhausted"})


def after_batch_failure(
    code: str | None,
    message: str | None,
    line: int | None,
    *,
    requests: int,
    tokens: int = 0,
    limit: int | None = None,
) -> AfterFailure:
    """Decide from the provider's first error; both texts are free strings, no list of them is published.
    `limit` is how many tokens the queue takes, if the error says so; `tokens` are the batch's."""
    said = (message or "").lower()
    if code in QUEUE_CODES or ("enqueued" in said and "limit" in said):
        if requests == 1 and limit and tokens > limit:
            # It will never fit, however long it waits.
            return AfterFailure.FAIL
        return AfterFailure.RETURN
    if code in BILLING_CODES or "spend_limit" in (code or "") or "billing" in said:
        return AfterFailure.PAUSE
    if requests == 1:
        return AfterFailure.FAIL
    if line is not None and 1 <= line <= requests:
        return AfterFailure.DROP_LINE
    return AfterFailure.HALVE
