"""Why a record failed for good: the words in the failures file and the summary."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """One word per way to fail. The first five are the rejections of an answer."""

    MALFORMED = "malformed"
    SCHEMA = "schema"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    CHECK = "check"
    INVALID = "invalid"  # the provider says that the request itself is wrong
    UNAVAILABLE = "unavailable"  # the provider failed on it every time
    EXPIRED = "expired"  # every batch that held it ended before its turn
    MISSING = "missing"  # no result file ever had it
    BATCH_FAILED = "batch_failed"  # the provider refused every batch that held it, without naming a line
    BAD_ROW = "bad_row"  # the input row could not be read
    BUILD = "build"  # the task's `build` raised on it
    OVERSIZE = "oversize"  # more than the model or a batch takes
