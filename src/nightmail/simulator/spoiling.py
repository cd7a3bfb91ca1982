"""What request faults do to an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from nightmail.simulator.answers import Answer
from nightmail.simulator.asks import Ask
from nightmail.simulator.faults import Fault
from nightmail.simulator.refusal import Refusal

REFUSED = "I'm sorry, but I can't help with that."

_MESSAGES = {
    0: "",
    429: "Rate limit reached for requests",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "The engine is currently overloaded, please try again later",
}
_TYPES = {400: "invalid_request_error", 404: "invalid_request_error", 429: "requests"}
_CODES = {429: "rate_limit_exceeded", 500: "server_error", 503: "overloaded"}


class Failure(NamedTuple):
    """A line that gets no answer; `status` None means that there was no HTTP answer either."""

    status: int | None
    body: dict[str, Any]
    code: str
    message: str


def line_failure(struck: Mapping[str, Fault]) -> Failure | None:
    """What `line_error` makes of a line, if it is among what strikes."""
    fault = struck.get("line_error")
    if fault is None:
        return None
    if fault.status is None and fault.code is not None:
        return Failure(None, {}, fault.code, fault.message or "The model call did not finish.")
    status = 500 if fault.status is None else fault.status
    message = fault.message or _MESSAGES.get(status, "The request was not valid.")
    code = fault.code or _CODES.get(status)
    body = Refusal(status, message, type=_TYPES.get(status, "server_error"), code=code).body()
    return Failure(status, {} if status == 0 else body, code or "", message)


def spoil(struck: Mapping[str, Fault], ask: Ask, made: Answer) -> Answer:
    """The answer as the faults leave it; its tokens are counted anew."""
    text, finish = made.text, made.finish
    if "schema_break" in struck:
        text = _wrongly_typed(text)
    if "malformed_output" in struck:
        text = f"Sure, here is the answer: {text[:-1]}"
    if "truncated_output" in struck:
        text, finish = text[: max(len(text) // 2, 1)], "length"
    if text == made.text and finish == made.finish:
        return made
    return Answer(text, ask.recipe.count(text), finish, made.refusal)


def _wrongly_typed(text: str) -> str:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    if not isinstance(value, dict) or not value:
        return '{"unexpected": true}'
    first = next(iter(value))
    value[first] = 12345 if isinstance(value[first], str) else "not what was asked for"
    return orjson.dumps(value).decode()
