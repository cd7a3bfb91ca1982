"""What form of answer a request asks for, and whether the provider would take that schema.

Chat has `response_format`, Responses has `text.format`; the rules of strict schemas are those of
OpenAI's Structured Outputs guide (2026-11): an object at the root, every property required, no
additional properties.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from nightmail.simulator.refusal import Refusal, missing, wrong_type, wrong_value

_KINDS = "'json_object', 'json_schema', and 'text'"
_MAX_DEPTH = 200


class Form(NamedTuple):
    """`schema` is set for structured outputs; `json` for any JSON answer at all."""

    schema: dict[str, Any] | None
    json: bool


TEXT = Form(None, False)


def chat_form(response_format: object) -> Form:
    """The form that a chat body's `response_format` asks for. Raises `Refusal`."""
    if response_format is None:
        return TEXT
    param = "response_format"
    kind = _kind(response_format, param)
    if kind != "json_schema":
        return Form(None, kind == "json_object")
    assert isinstance(response_format, dict)
    inner = response_format.get("json_schema")
    if inner is None:
        raise missing("response_format.json_schema")
    return _schema_form(inner, f"{param}.json_schema", param)


def responses_form(text: object) -> Form:
    """The form that a Responses body's `text` asks for. Raises `Refusal`."""
    if text is None:
        return TEXT
    if not isinstance(text, dict):
        raise wrong_type("text", "an object", text)
    given = text.get("format")
    if given is None:
        return TEXT
    kind = _kind(given, "text.format")
    if kind != "json_schema":
        return Form(None, kind == "json_object")
    return _schema_form(given, "text.format", "text.format")


def _kind(given: object, param: str) -> str:
    if not isinstance(given, dict):
        raise wrong_type(param, "an object", given)
    kind = given.get("type")
    if kind is None:
        raise missing(f"{param}.type")
    if not isinstance(kind, str):
        raise wrong_type(f"{param}.type", "a string", kind)
    if kind not in ("text", "json_object", "json_schema"):
        raise wrong_value(f"{param}.type", kind, _KINDS)
    return kind


def _schema_form(inner: object, param: str, blamed: str) -> Form:
    if not isinstance(inner, dict):
        raise wrong_type(param, "an object", inner)
    name = inner.get("name")
    if name is None:
        raise missing(f"{param}.name")
    schema = inner.get("schema")
    if schema is None:
        raise missing(f"{param}.schema")
    if not isinstance(schema, dict):
        raise wrong_type(f"{param}.schema", "an object", schema)
    if inner.get("strict"):
        fault = _strict_fault(schema, ())
        if schema.get("type") != "object":
            found = schema.get("type")
            fault = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{found}\"'."
        if fault:
            raise Refusal(
                400,
                f"Invalid schema for response_format '{name}': {fault}",
                param=blamed,
                code="invalid_json_schema",
            )
    return Form(schema, True)


def _strict_fault(schema: object, path: tuple[str, ...]) -> str | None:
    if isinstance(schema, bool) or not isinstance(schema, dict):
        return f"In context={path}, {schema!r} is not of type 'object'."
    if len(path) > _MAX_DEPTH:
        return f"In context={path[:5]}, the schema is nested too deeply."
    properties = schema.get("properties")
    if schema.get("type") == "object" or properties is not None:
        if schema.get("additionalProperties") is not False:
            return f"In context={path}, 'additionalProperties' is required to be supplied and to be false."
        left_out = set(properties or {}) - set(schema.get("required") or ())
        if left_out:
            return (
                f"In context={path}, 'required' is required to be supplied and to be an array including "
                f"every key in properties. Missing '{min(left_out)}'."
            )
    for where, part in _parts(schema):
        if fault := _strict_fault(part, (*path, *where)):
            return fault
    return None


def _parts(schema: dict[str, Any]) -> list[tuple[tuple[str, ...], object]]:
    parts: list[tuple[tuple[str, ...], object]] = []
    for key in ("properties", "$defs", "definitions"):
        if isinstance(schema.get(key), dict):
            parts += [((key, str(name)), part) for name, part in schema[key].items()]
    if "items" in schema:
        parts.append((("items",), schema["items"]))
    if isinstance(schema.get("anyOf"), list):
        parts += [(("anyOf", str(index)), part) for index, part in enumerate(schema["anyOf"])]
    return parts
