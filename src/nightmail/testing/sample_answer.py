"""A small answer that satisfies a JSON schema, to try a task with before anything is sent.

Deterministic. A `pattern`, or a rule that only the type's own code knows, may be missed: whoever uses
the answer validates it, and can be given one by hand.
"""

from __future__ import annotations

from typing import Any

TEXT = "A sample text"

_FORMATTED = {
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
    "uri": "https://example.com/",
}


def sample_answer(schema: dict[str, Any]) -> Any:
    """A value for `schema`, as small as it may be but with something in every list."""
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    return _sample(schema, schema, definitions, ())


def _sample(node: Any, root: Any, definitions: dict[str, Any], within: tuple[str, ...]) -> Any:
    if not isinstance(node, dict):
        return TEXT
    if "$ref" in node:
        name = str(node["$ref"])
        target = root if name == "#" else definitions[name.rpartition("/")[2]]
        return _sample(target, root, definitions, (*within, name))
    for keyword in ("const", "default"):
        if keyword in node:
            return node[keyword]
    if "enum" in node:
        return node["enum"][0]
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in node:
            return _sample(_simplest(node[keyword], within), root, definitions, within)
    match _kind(node):
        case "object":
            properties = node.get("properties", {})
            return {name: _sample(value, root, definitions, within) for name, value in properties.items()}
        case "array":
            # A recursive type ends where its list may be empty.
            fewest = node.get("minItems", 0 if _refers_to(node.get("items"), within) else 1)
            return [_sample(node.get("items"), root, definitions, within) for _ in range(fewest)]
        case "string":
            return _text(node)
        case "integer" | "number" as kind:
            return _number(node, whole=kind == "integer")
        case "boolean":
            return True
        case _:
            return None


def _kind(node: dict[str, Any]) -> str:
    named = node.get("type", "object" if "properties" in node else "string")
    kinds = [named] if isinstance(named, str) else named
    return next((kind for kind in kinds if kind != "null"), "null")


def _simplest(variants: list[Any], within: tuple[str, ...]) -> Any:
    """The first variant, but not the one that a recursive type would go round in for ever."""
    ends = [variant for variant in variants if not _refers_to(variant, within)]
    useful = [variant for variant in ends if variant != {"type": "null"}]
    return (useful or ends or variants)[0]


def _refers_to(node: Any, names: tuple[str, ...]) -> bool:
    return isinstance(node, dict) and node.get("$ref") in names


def _text(node: dict[str, Any]) -> str:
    text = _FORMATTED.get(node.get("format", ""), TEXT)
    text = text.ljust(node.get("minLength", 0), "x")
    return text[: node.get("maxLength", len(text))]


def _number(node: dict[str, Any], *, whole: bool) -> float:
    step = node.get("multipleOf", 1 if whole else None)
    low = node.get("minimum", node.get("exclusiveMinimum"))
    high = node.get("maximum", node.get("exclusiveMaximum"))
    if step:
        if low is None:
            return 0 if high is None or high > 0 else _fitting(high // step * step, -step, node)
        return _fitting(-(-low // step) * step, step, node)
    if low is not None and high is not None:
        return float(low + high) / 2
    if low is not None:
        return float(low) + 1
    return 0.5 if high is None else float(high) - 1


def _fitting(value: float, step: float, node: dict[str, Any]) -> float:
    outside = value in (node.get("exclusiveMinimum"), node.get("exclusiveMaximum"))
    return value + step if outside else value
