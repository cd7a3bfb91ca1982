"""How large a strict schema may be.

OpenAI's guide (developers.openai.com/api/docs/guides/structured-outputs, read 2026-11): 5,000 properties
in all, 10 levels of nesting, 1,000 enum values in all, 15,000 characters in one string enum of more
than 250 values, 120,000 characters of property names, definition names, enum and const values. How a level is
counted is not said; here it is an object inside an object, so that nothing legal is refused. Azure allows
less (100 properties, 5 levels) and says so itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nightmail.errors import TaskError

MAX_PROPERTIES = 5_000
MAX_LEVELS = 10
MAX_ENUM_VALUES = 1_000
MAX_CHARACTERS = 120_000
LONG_ENUM = 250
MAX_LONG_ENUM_CHARACTERS = 15_000


def check_limits(schema: dict[str, Any]) -> None:
    """Raise `TaskError` if a strict schema is larger than is accepted."""
    properties = enum_values = characters = 0
    definitions = schema.get("$defs", {})
    roots = {"output": schema} | {f"output, definition {name}": node for name, node in definitions.items()}
    for path, node in (found for start, root in roots.items() for found in _nodes(root, start)):
        names = node.get("properties", {})
        values = [*node.get("enum", ()), *([node["const"]] if "const" in node else ())]
        texts = [value for value in values if isinstance(value, str)]
        properties += len(names)
        enum_values += len(node.get("enum", ()))
        characters += sum(map(len, names)) + sum(map(len, texts))
        if len(texts) > LONG_ENUM and (length := sum(map(len, texts))) > MAX_LONG_ENUM_CHARACTERS:
            raise TaskError(
                f"{path}: {len(texts)} labels of {length:,} characters together; more than {LONG_ENUM} "
                f"labels may have {MAX_LONG_ENUM_CHARACTERS:,}. Use shorter labels, or ask in two steps"
            )
    characters += sum(map(len, definitions))
    levels = _levels(schema, definitions, {})
    for count, limit, what in (
        (properties, MAX_PROPERTIES, "properties"),
        (levels, MAX_LEVELS, "levels of nesting"),
        (enum_values, MAX_ENUM_VALUES, "enum values"),
        (characters, MAX_CHARACTERS, "characters of names and enum values"),
    ):
        if count > limit:
            raise TaskError(f"output: {count:,} {what}; strict mode takes {limit:,}. Make the type smaller")


def _nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, value in node.get("properties", {}).items():
        yield from _nodes(value, f"{path}.{name}")
    if "items" in node:
        yield from _nodes(node["items"], f"{path}[]")
    for variant in node.get("anyOf", ()):
        yield from _nodes(variant, path)


def _levels(node: dict[str, Any], definitions: dict[str, Any], known: dict[str, int]) -> int:
    """The deepest nesting of objects; a recursive type counts once."""
    name = node.get("$ref", "").removeprefix("#/$defs/")
    if name in definitions:
        if name not in known:
            known[name] = 0  # met again below, it adds nothing
            known[name] = _levels(definitions[name], definitions, known)
        return known[name]
    inner = [*node.get("properties", {}).values(), *node.get("anyOf", ())]
    if "items" in node:
        inner.append(node["items"])
    deepest = max((_levels(value, definitions, known) for value in inner), default=0)
    return deepest + ("properties" in node)
