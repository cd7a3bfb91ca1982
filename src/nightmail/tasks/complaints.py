"""What is wrong with an answer that is JSON but not of the output type, in words.

Looked for only after reading has failed, so that nothing here costs time on good answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import orjson

MAX_PROBLEMS = 3
MAX_QUOTE = 80


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong: `message` for logs, `complaint` for the model, which quotes the value."""

    message: str
    complaint: str


def problems_of(error: Exception, value: Any, schema: dict[str, Any]) -> list[Problem]:
    """Up to three things that are wrong with `value`; none if the type's own code failed otherwise."""
    listed = getattr(error, "errors", None)
    if type(error).__module__.startswith("pydantic") and callable(listed):
        details = listed(include_url=False, include_context=False)[:MAX_PROBLEMS]
        return [_problem(detail["loc"], detail["msg"], detail["msg"], detail["input"]) for detail in details]
    problems = _by_schema(value, schema)
    if not problems and isinstance(error, msgspec.ValidationError):
        problems = [Problem(str(error), str(error))]
    return problems


def _by_schema(value: Any, schema: dict[str, Any]) -> list[Problem]:
    import jsonschema_rs

    plain = jsonschema_rs.validator_for(schema, validate_formats=True, offline=True)
    masked = jsonschema_rs.validator_for(schema, validate_formats=True, offline=True, mask="the value")
    found = zip(plain.iter_errors(value), masked.iter_errors(value), strict=True)
    return [
        _problem(error.instance_path, hidden.message, error.message, None)
        for error, hidden in list(found)[:MAX_PROBLEMS]
    ]


def _problem(path: Iterable[str | int], message: str, complaint: str, given: Any) -> Problem:
    place = path_text(path)
    said = f"{complaint:.{4 * MAX_QUOTE}}"
    if given is not None and not isinstance(given, (dict, list)):
        said = f"{said} (got {_quoted(given)})"
    return Problem(f"{place}{message:.{4 * MAX_QUOTE}}", f"{place}{said}")


def _quoted(value: Any) -> str:
    text = orjson.dumps(value, default=repr).decode()
    return text if len(text) <= MAX_QUOTE else text[:MAX_QUOTE] + "..."


def path_text(path: Iterable[str | int]) -> str:
    """`items[0].price: `, or nothing for the whole answer."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    return f"{text}: " if text else ""
