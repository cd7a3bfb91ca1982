"""What `Task.output` may be, and how each kind is read: a type -> its schema and its decoder.

pydantic models (and anything that contains one) are read by pydantic; msgspec structs, dataclasses,
typed dicts and labels by msgspec; a JSON schema by jsonschema-rs. A type whose JSON is not an object
(labels, a list) travels inside one, since strict structured outputs want an object, and is unwrapped.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import msgspec

from nightmail.errors import TaskError

WRAPPED_COLUMN = "output"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputForm:
    """How one output type is asked for, read and put into columns.

    `schema` describes the answers that are accepted, `column_schema` what `plain` returns for each
    output. `wrapper` is the field in which a value that is no object travels.
    """

    name: str
    schema: dict[str, Any]
    column_schema: dict[str, Any]
    decode: Callable[[str], Any]
    plain: Callable[[Sequence[Any]], list[Any]]
    wrapper: str | None = None


def form_of(output: Any) -> OutputForm:
    """The form of a task's `output`. Raises `TaskError` if it is no type that can be asked for."""
    try:
        if isinstance(output, dict):
            return _json_schema_form(output)
        if _mentions_pydantic(output):
            return _pydantic_form(output)
        return _msgspec_form(output)
    except TaskError:
        raise
    except Exception as error:  # each library has its own errors for a type it cannot read
        raise TaskError(f"output: {output!r:.100} cannot be described to a model: {error}") from error


def _json_schema_form(given: dict[str, Any]) -> OutputForm:
    import jsonschema_rs

    name, schema = _unpacked(given)
    _refuse_remote_references(schema)
    accepted = _with_nullable_optionals(schema)
    try:
        validator = jsonschema_rs.validator_for(accepted, validate_formats=True, offline=True)
    except jsonschema_rs.ValidationError as error:
        place = "".join(f"[{part!r}]" for part in error.instance_path)
        raise TaskError(f"output: not a valid JSON schema at schema{place}: {error.message}") from error
    read = msgspec.json.decode

    def decode(text: str) -> Any:
        value = read(text)
        validator.validate(value)
        return value

    return OutputForm(
        name=name,
        schema=accepted,
        column_schema=accepted,
        decode=decode,
        plain=list,
    )


def _unpacked(given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A bare schema, or the one inside a `response_format` as it stands in API examples."""
    inner = given.get("json_schema", given)
    if isinstance(inner, dict) and isinstance(inner.get("schema"), dict) and "properties" not in inner:
        return schema_name(str(inner.get("name", "output"))), inner["schema"]
    return schema_name(str(given.get("title", "output"))), given


def _refuse_remote_references(node: Any) -> None:
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            raise TaskError(f"output: {reference!r} leads out of the schema; put its target into `$defs`")
        for value in node.values():
            _refuse_remote_references(value)
    elif isinstance(node, list):
        for value in node:
            _refuse_remote_references(value)


def _with_nullable_optionals(node: Any) -> Any:
    """Strict mode has no optional fields: they are asked for as nullable, so null must be accepted."""
    if not isinstance(node, dict):
        return node
    changed = dict(node)
    for keyword in ("properties", "$defs", "definitions"):
        if isinstance(node.get(keyword), dict):
            inner = node[keyword].items()
            changed[keyword] = {name: _with_nullable_optionals(value) for name, value in inner}
    for keyword in ("anyOf", "oneOf", "allOf"):
        if isinstance(node.get(keyword), list):
            changed[keyword] = [_with_nullable_optionals(value) for value in node[keyword]]
    if "items" in node:
        changed["items"] = _with_nullable_optionals(node["items"])
    for name, value in changed.get("properties", {}).items():
        if name not in node.get("required", ()) and isinstance(value, dict) and "default" not in value:
            changed["properties"][name] = nullable(value)
    return changed


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema`, or null."""
    kind = schema.get("type")
    if "anyOf" in schema:
        if {"type": "null"} in schema["anyOf"]:
            return schema
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    if kind is None or "const" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    kinds = [kind] if isinstance(kind, str) else list(kind)
    if "null" in kinds:
        return schema
    widened = {**schema, "type": [*kinds, "null"]}
    if "enum" in schema:
        widened["enum"] = [*schema["enum"], None]
    return widened


def _mentions_pydantic(output: Any) -> bool:
    if inspect.isclass(output) and hasattr(output, "__pydantic_core_schema__"):
        return True
    return any(_mentions_pydantic(argument) for argument in get_args(output))


def _pydantic_form(output: Any) -> OutputForm:
    import pydantic

    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(output)
    decode: Callable[[str], Any]
    if wrapper := _wrapper(output, adapter.json_schema()):
        wrapped = pydantic.create_model(f"{_type_name(output)}_answer", **{wrapper: (output, ...)})  # type: ignore[call-overload]
        outer: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(wrapped)
        schema, validate = outer.json_schema(), outer.validator.validate_json

        def decode(text: str) -> Any:
            return getattr(validate(text), wrapper)

    else:
        schema, decode = adapter.json_schema(), adapter.validator.validate_json
    to_python = adapter.serializer.to_python
    return OutputForm(
        name=schema_name(_type_name(output)),
        schema=schema,
        column_schema=adapter.json_schema(mode="serialization", by_alias=False),
        decode=decode,
        plain=lambda values: [to_python(value, mode="json", by_alias=False) for value in values],
        wrapper=wrapper,
    )


def _msgspec_form(output: Any) -> OutputForm:
    column_schema = schema = msgspec.json.schema(output)
    wrapper = _wrapper(output, schema)
    if wrapper is None:
        decode: Callable[[str], Any] = msgspec.json.Decoder(output).decode
    else:
        wrapped = msgspec.defstruct(f"{_type_name(output)}_answer", [(wrapper, output)])
        inner = msgspec.json.Decoder(wrapped).decode
        schema = msgspec.json.schema(wrapped)

        def decode(text: str) -> Any:
            return getattr(inner(text), wrapper)

    return OutputForm(
        name=schema_name(_type_name(output)),
        schema=schema,
        column_schema=column_schema,
        decode=decode,
        plain=lambda values: msgspec.to_builtins(list(values)),
        wrapper=wrapper,
    )


def _wrapper(output: Any, schema: dict[str, Any]) -> str | None:
    if get_origin(output) is Literal or (inspect.isclass(output) and issubclass(output, Enum)):
        return "label"
    node = schema
    while "$ref" in node:
        node = schema.get("$defs", {}).get(str(node["$ref"]).rpartition("/")[2], {})
    return None if node.get("type") == "object" else WRAPPED_COLUMN


def _type_name(output: Any) -> str:
    if get_origin(output) is Literal:
        return "Label"
    return str(getattr(output, "__name__", "Output")).partition("[")[0]


def schema_name(name: str) -> str:
    """A schema's name as the API takes it: at most 64 of letters, digits, _ and -."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64] or "output"
