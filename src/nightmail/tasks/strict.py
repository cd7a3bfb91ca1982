"""A JSON schema -> the schema that OpenAI's strict structured outputs accept, or a clear refusal.

Strict mode takes a subset of JSON Schema (the guide "Structured model outputs", section Supported schemas, at
developers.openai.com/api/docs/guides/structured-outputs, read 2026-11): the root is an object and not
a union; every object lists all its properties as required and has additionalProperties false; `anyOf`
is the only composition; `pattern`, nine `format`s, numeric bounds, `multipleOf`, `minItems` and
`maxItems` are allowed, but not for fine-tuned models. `default`, siblings of a `$ref` and lookarounds
in a pattern are refused as well, though the guide does not say so.

What merely restricts an answer and cannot be sent (`minLength`, `uniqueItems`, another `format`) is put
into the description in words; the answer is still validated by the original type. What changes the
shape (`allOf`, `patternProperties`, free keys, tuples) raises a `TaskError` that names the place.
"""

from __future__ import annotations

from typing import Any

from nightmail.errors import TaskError
from nightmail.tasks.strict_limits import check_limits

FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})

_BOUNDS = (
    "pattern", "format", "multipleOf", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems",
)  # fmt: skip
_ONLY_IN_WORDS = (
    "minLength", "maxLength", "uniqueItems", "minProperties", "maxProperties",
    "minContains", "maxContains", "contentEncoding", "contentMediaType",
)  # fmt: skip
_REFUSED = {
    "allOf": "write the combined object out as one",
    "not": "say it in the field's description and test it in `check`",
    "if": "say it in the field's description and test it in `check`",
    "dependentRequired": "make the field nullable and test it in `check`",
    "dependentSchemas": "make the field nullable and test it in `check`",
    "patternProperties": "use a list of objects with a `key` and a `value`",
    "propertyNames": "use a list of objects with a `key` and a `value`",
    "unevaluatedProperties": "list the properties",
    "prefixItems": "use an object with a named field for each position, or a list of one type",
    "contains": "test it in `check`",
}


def strict_schema(schema: dict[str, Any], *, fine_tuned: bool = False) -> dict[str, Any]:
    """The strict form of `schema`, which is left as it was. Raises `TaskError`.

    Every property becomes required; whether null is an answer to an optional one is for the schema
    to say.
    """
    strict = _Conversion(schema, fine_tuned=fine_tuned).root()
    check_limits(strict)
    return strict


class _Conversion:
    """One schema on its way; holds the definitions already converted."""

    def __init__(self, schema: dict[str, Any], *, fine_tuned: bool) -> None:
        self._schema = schema
        self._fine_tuned = fine_tuned
        self._sources: dict[str, Any] = {**schema.get("definitions", {}), **schema.get("$defs", {})}
        self._done: dict[str, Any] = {}
        self._inlining: list[str] = []

    def root(self) -> dict[str, Any]:
        node = {key: value for key, value in self._schema.items() if key not in ("$defs", "definitions")}
        while "$ref" in node:
            name = self._definition(node["$ref"], "output")
            node = {**self._sources[name], **{k: v for k, v in node.items() if k != "$ref"}}
        if "anyOf" in node or "oneOf" in node:
            raise TaskError(
                "output: the outermost value must be an object, not a union; put the union into a field"
            )
        if node.get("type", "object" if "properties" in node else None) != "object":
            raise TaskError(
                f"output: the outermost value must be an object, not {node.get('type', 'anything')!r}; "
                "put it into a field"
            )
        converted = self._node(node, "output")
        return {**converted, "$defs": self._done} if self._done else converted

    def _definition(self, reference: Any, path: str) -> str:
        name = str(reference).removeprefix("#/$defs/").removeprefix("#/definitions/")
        if name == reference or name not in self._sources:
            raise TaskError(f"{path}: {reference!r} does not lead to a definition in `$defs`")
        return name

    def _node(self, node: Any, path: str) -> dict[str, Any]:
        if not isinstance(node, dict) or not node.keys() - {"title", "description", "default", "examples"}:
            raise TaskError(f"{path}: any value is allowed here, but strict mode needs a type; give it one")
        if "$ref" in node:
            return self._reference(node, path)
        if len(node.get("allOf", ())) == 1:
            rest = {key: value for key, value in node.items() if key != "allOf"}
            return self._node({**node["allOf"][0], **rest}, path)
        for keyword, advice in _REFUSED.items():
            if keyword in node:
                raise TaskError(f"{path}: strict mode has no `{keyword}`; {advice}")
        variants = node.get("anyOf", node.get("oneOf"))
        converted = self._value(node, path) if variants is None else self._union(node, variants, path)
        if description := self._description(node):
            converted["description"] = description
        return converted

    def _reference(self, node: dict[str, Any], path: str) -> dict[str, Any]:
        if node["$ref"] == "#":
            return {"$ref": "#"}
        name = self._definition(node["$ref"], path)
        said = {"description": node["description"]} if node.get("description") else {}
        if said and name not in self._inlining:
            self._inlining.append(name)
            inlined = self._node({**self._sources[name], **said}, path)
            self._inlining.pop()
            return inlined
        if name not in self._done:
            self._done[name] = {}  # a recursive type meets its own name below
            self._done[name] = self._node(self._sources[name], path)
        return {"$ref": f"#/$defs/{name}"}

    def _union(self, node: dict[str, Any], variants: list[Any], path: str) -> dict[str, Any]:
        if beside := sorted(node.keys() & {"properties", "items", "required", "enum", "const"}):
            raise TaskError(f"{path}: strict mode has no `{beside[0]}` beside `anyOf`; write out each case")
        return {"anyOf": [self._node(variant, path) for variant in variants]}

    def _value(self, node: dict[str, Any], path: str) -> dict[str, Any]:
        kinds = _kinds(node, path)
        converted: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
        converted |= {key: node[key] for key in ("enum", "const") if key in node}
        if not self._fine_tuned:
            converted |= {key: node[key] for key in _BOUNDS if key in node and _sendable(key, node[key])}
        if "object" in kinds:
            converted |= self._object(node, path)
        if "array" in kinds:
            if isinstance(node.get("items"), list):
                raise TaskError(f"{path}: strict mode has no tuples; {_REFUSED['prefixItems']}")
            converted["items"] = self._node(node.get("items"), f"{path}[]")
        return converted

    def _object(self, node: dict[str, Any], path: str) -> dict[str, Any]:
        properties = node.get("properties", {})
        extra = node.get("additionalProperties", not properties)
        if isinstance(extra, dict) or (extra is True and not properties):
            raise TaskError(f"{path}: strict mode has no free keys; {_REFUSED['patternProperties']}")
        required = node.get("required", [])
        if unknown := [name for name in required if name not in properties]:
            raise TaskError(f"{path}: {unknown[0]!r} is required but not among the properties")
        converted = {name: self._node(value, f"{path}.{name}") for name, value in properties.items()}
        return {"properties": converted, "required": list(converted), "additionalProperties": False}

    def _description(self, node: dict[str, Any]) -> str:
        bounds = [key for key in _BOUNDS if self._fine_tuned or not _sendable(key, node.get(key))]
        unsent = [*_ONLY_IN_WORDS, *bounds]
        words = ", ".join(f"{key} {node[key]}" for key in unsent if key in node)
        said = str(node.get("description", "")).strip()
        return f"{said} ({words})".strip() if words else said


def _kinds(node: dict[str, Any], path: str) -> list[str]:
    named = node.get("type")
    if named is None:
        named = _implied_kinds(node)
    kinds = [named] if isinstance(named, str) else list(named)
    if not kinds:
        raise TaskError(f"{path}: strict mode needs a type here; give it one")
    if unknown := [kind for kind in kinds if kind not in TYPES]:
        raise TaskError(f"{path}: there is no type {unknown[0]!r} in JSON Schema")
    return kinds


def _implied_kinds(node: dict[str, Any]) -> list[str]:
    if "properties" in node:
        return ["object"]
    if "items" in node:
        return ["array"]
    values = node.get("enum", [node["const"]] if "const" in node else [])
    return list(dict.fromkeys(_kind_of(value) for value in values))


def _kind_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _sendable(keyword: str, value: Any) -> bool:
    if keyword == "format":
        return value in FORMATS
    if keyword == "pattern":
        return not any(sign in str(value) for sign in ("(?=", "(?!", "(?<=", "(?<!"))
    return True
