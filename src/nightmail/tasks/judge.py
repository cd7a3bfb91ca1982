"""Whether an answer will do, before the task's own check: refused, truncated, malformed, schema or fine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from nightmail.core.result import Finish, Rejection, Response
from nightmail.errors import Rejected
from nightmail.tasks.reading import Unreadable

MAX_MESSAGE = 300
_COMPLETE = Finish.COMPLETE  # for each answer: looking it up in its class is slower than comparing


class Judged(msgspec.Struct, frozen=True, gc=False):
    """The output, or why there is none.

    `message` is short and for logs and failure lists; `complaint` is for the model and may quote its answer.
    """

    output: Any
    rejection: Rejection | None = None
    message: str | None = None
    complaint: str | None = None


def judge(parse: Callable[[Response], Any], response: Response) -> Judged:
    """What `parse` makes of an answer, or the reason against it. Never raises for a bad answer."""
    if response.finish is not _COMPLETE or response.refusal is not None:
        if response.refusal is not None and not response.text:
            return _rejected(Rejection.REFUSED, response.refusal)
        if response.finish is Finish.TRUNCATED:
            return _rejected(Rejection.TRUNCATED, "the answer stopped at the output cap")
        if response.finish is Finish.FILTERED:
            return _rejected(Rejection.REFUSED, "content filter")
    try:
        return Judged(parse(response))
    except Unreadable as unreadable:
        return _rejected(unreadable.reason, unreadable.message, unreadable.complaint)
    except Rejected as rejected:
        return _rejected(Rejection.CHECK, str(rejected))
    except Exception as error:
        return _rejected(Rejection.MALFORMED, f"parse raised {type(error).__name__}: {error}")


def _rejected(reason: Rejection, message: str, complaint: str | None = None) -> Judged:
    return Judged(None, reason, f"{message:.{MAX_MESSAGE}}", complaint or message)
