"""What a provider said about one request, and why an answer may still not do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from nightmail.core.usage import NO_USAGE, Usage, Usages


class Outcome(StrEnum):
    """The provider's side of it. `missing` is ours: the request is in no result file."""

    SUCCEEDED = "succeeded"  # an answer came; whether it is any good is another question
    ERRORED = "errored"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    MISSING = "missing"


class Rejection(StrEnum):
    """Why an answer that came was not accepted."""

    MALFORMED = "malformed"  # not readable as the output's type at all
    SCHEMA = "schema"  # readable, but not of the type
    TRUNCATED = "truncated"  # stopped at the output cap
    REFUSED = "refused"  # the model declined
    CHECK = "check"  # the task's own check said no


class Finish(StrEnum):
    """How an answer ended."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"
    FILTERED = "filtered"


class Response(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An answer as a task sees it: the same fields whatever the endpoint or the provider.

    `text` is the assistant's text (None for embeddings and moderations), `vectors` the
    numbers of each embedding input (packed: an `array`, which numpy takes as it is), `whole` the
    provider's body as it came, or a function and the bytes in which it finds it: few want it.
    """

    model: str
    whole: msgspec.Raw | tuple[Callable[[bytes], msgspec.Raw], bytes]
    text: str | None = None
    refusal: str | None = None
    finish: Finish = Finish.COMPLETE
    vectors: list[Sequence[float]] | None = None
    usage: Usage = NO_USAGE
    tier: str | None = None  # the service tier that the provider says it was billed by

    @property
    def raw(self) -> msgspec.Raw:
        """The provider's body as it came."""
        if isinstance(self.whole, msgspec.Raw):
            return self.whole
        find, held = self.whole
        return find(held)

    @property
    def body(self) -> Any:
        """The whole body as Python values; decoded when asked for."""
        return msgspec.json.decode(self.raw)


class Result(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of a result file. `custom_id` is None where a server left it out.

    `response` is there exactly if `outcome` is succeeded; else `status`, `code` and `message`
    say what the provider said (status None: it never became an HTTP answer).
    """

    custom_id: str | None
    outcome: Outcome
    response: Response | None = None
    status: int | None = None
    code: str | None = None
    message: str | None = None


class Answers(NamedTuple):
    """What many lines of a result file say: a column each, an item for every line.

    `contents` has the text of each answer; for embeddings its vectors, each one packed into an object with
    the buffer of an `array`. Where it has None, the line is anything but a complete answer with such a
    content, and its other columns mean nothing: it has to be read by itself. For the others they are what a
    `Result` of the line has.
    """

    custom_ids: list[str]
    models: list[str]
    contents: list[str | list[memoryview[float]] | None]
    usages: Usages
    tiers: list[str | None]
