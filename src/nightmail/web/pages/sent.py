"""A request as it is sent, in the parts that people ask for: what is said, the schema, the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

# Where chat completions and responses have the schema of their answers.
SCHEMAS = (("response_format", "json_schema", "schema"), ("text", "format", "schema"))


class Said(NamedTuple):
    role: str
    text: str


class Sent(NamedTuple):
    """`schema` and `rest` are JSON; None where there is no schema."""

    endpoint: str
    messages: list[Said]
    schema: str | None
    rest: str


def sent(request: Mapping[str, Any]) -> Sent:
    """A line of a request file, taken apart."""
    body = dict(request.get("body", {}))
    messages: list[Said] = []
    for name in ("instructions", "input", "prompt", "messages"):
        if name in body:
            messages += _said(name, body.pop(name))
    schema = next((found for path in SCHEMAS if (found := _at(body, path)) is not None), None)
    if schema is not None:
        for first, *_ in SCHEMAS:
            body.pop(first, None)
    return Sent(
        request.get("url", ""), messages, _written(schema) if schema is not None else None, _written(body)
    )


def _said(name: str, value: Any) -> list[Said]:
    if not isinstance(value, list):
        return [Said(name, value if isinstance(value, str) else _written(value))]
    found = []
    for each in value:
        if isinstance(each, Mapping) and "content" in each:
            content = each["content"]
            text = content if isinstance(content, str) else _written(content)
            found.append(Said(str(each.get("role", name)), text))
        else:
            found.append(Said(name, each if isinstance(each, str) else _written(each)))
    return found


def _at(body: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = body
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _written(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
