"""A JSON schema -> the columns of a table.

The outermost properties are the columns; objects inside become structs, arrays lists. What has no
single type (a union of different types, any value, an object without known fields, the inner turns of
a recursive type) becomes a string that holds its JSON, so that every run of a task has one schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Convert = Callable[[Any], Any]


class Kind(StrEnum):
    """What a column, or a part of one, holds."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    VECTOR = "vector"  # a list of float32: an embedding
    LIST = "list"
    STRUCT = "struct"
    JSON = "json"  # anything, as its JSON text


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind, with the shape of its items or fields. Everything may be null."""

    kind: Kind
    item: Shape | None = None
    fields: dict[str, Shape] = field(default_factory=dict)


_JSON = Shape(Kind.JSON)
_PLAIN = {
    "string": Shape(Kind.STRING),
    "integer": Shape(Kind.INTEGER),
    "number": Shape(Kind.NUMBER),
    "boolean": Shape(Kind.BOOLEAN),
}


def shape_of(schema: dict[str, Any]) -> Shape:
    """The shape of the values that `schema` describes."""
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    return _shape(schema, schema, definitions, ())


def _shape(node: Any, root: Any, definitions: dict[str, Any], within: tuple[str, ...]) -> Shape:
    if not isinstance(node, dict):
        return _JSON
    if "$ref" in node:
        name = str(node["$ref"])
        target = root if name == "#" else definitions.get(name.rpartition("/")[2])
        return _JSON if name in within else _shape(target, root, definitions, (*within, name))
    variants = node.get("anyOf", node.get("oneOf", node.get("allOf")))
    if variants is not None:
        shapes = [_shape(v, root, definitions, within) for v in variants if v != {"type": "null"}]
        return shapes[0] if shapes and all(shape == shapes[0] for shape in shapes) else _JSON
    kinds = _kinds(node)
    if len(kinds) != 1:
        return _JSON
    match kinds[0]:
        case "array" if "prefixItems" not in node:
            return Shape(Kind.LIST, item=_shape(node.get("items"), root, definitions, within))
        case "object" if node.get("properties"):
            fields = {
                name: _shape(value, root, definitions, within) for name, value in node["properties"].items()
            }
            return Shape(Kind.STRUCT, fields=fields)
        case plain:
            return _PLAIN.get(plain, _JSON)


def _kinds(node: dict[str, Any]) -> list[str]:
    if "type" in node:
        named = [node["type"]] if isinstance(node["type"], str) else node["type"]
        return [kind for kind in named if kind != "null"]
    if "properties" in node:
        return ["object"]
    values = node.get("enum", [node["const"]] if "const" in node else [])
    plain = {str: "string", bool: "boolean", int: "integer", float: "number"}
    return list({plain.get(type(value), "json") for value in values if value is not None})


def converter(shape: Shape) -> Convert | None:
    """What turns a JSON value of this shape into a table's value; None where nothing has to be done."""
    match shape.kind:
        case Kind.JSON:
            return _as_json
        case Kind.INTEGER:
            return _as_integer
        case Kind.NUMBER:
            return _as_number
        case Kind.LIST if shape.item is not None and (convert := converter(shape.item)):
            return _each(convert)
        case Kind.STRUCT:
            converters = {name: converter(inner) for name, inner in shape.fields.items()}
            return _fields(converters) if any(converters.values()) else None
        case _:
            return None


def _as_json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _as_integer(value: Any) -> Any:
    # JSON Schema calls 3.0 an integer; a table's integer column does not.
    return int(value) if type(value) is float else value


def _as_number(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _each(convert: Convert) -> Convert:
    return lambda values: None if values is None else [convert(value) for value in values]


def _fields(converters: dict[str, Convert | None]) -> Convert:
    pairs = list(converters.items())

    def convert_fields(value: Any) -> Any:
        if value is None:
            return None
        return {name: convert(value.get(name)) if convert else value.get(name) for name, convert in pairs}

    return convert_fields


def arrow_type(shape: Shape) -> pa.DataType:
    """The Arrow type for values of this shape, after `converter`."""
    import pyarrow as pa

    match shape.kind:
        case Kind.INTEGER:
            return pa.int64()
        case Kind.NUMBER:
            return pa.float64()
        case Kind.BOOLEAN:
            return pa.bool_()
        case Kind.VECTOR:
            return pa.list_(pa.float32())
        case Kind.LIST:
            return pa.list_(arrow_type(shape.item or _JSON))
        case Kind.STRUCT:
            return pa.struct([pa.field(name, arrow_type(inner)) for name, inner in shape.fields.items()])
        case Kind.STRING | Kind.JSON:
            return pa.string()
