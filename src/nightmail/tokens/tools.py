"""Tokens of tool definitions and of an output schema: estimates, by the rules that are known.

Functions follow the cookbook (OpenAI cookbook, "How to count tokens with tiktoken", section on tool calls,
read November 2026), which was fitted to flat parameters; nested ones are counted by the same rule at each
level. An output schema is counted as it is shown to the model in OpenAI's published harmony format (a heading
with the name, the description, the schema as JSON): how hosted models get it is not published.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from nightmail.tokens.encodings import CL100K, encoding_of
from nightmail.tokens.tally import Estimate, Tally, mapping, several

FUNCTION = 7
FUNCTION_CL100K = 10  # gpt-4 and gpt-3.5
PROPERTIES = 3
PROPERTY = 3
ENUM = -3
ENUM_ITEM = 3
TOOLS_END = 12

# litellm 1.109.1: a forced function costs 7 and its name, "none" costs 1.
CHOSEN = 7
NONE_CHOSEN = 1


def count_tools(tools: Iterable[Any], tally: Tally) -> None:
    """Add tool definitions, as chat nests them (`{"function": ...}`) or as Responses has them flat."""
    given = [tool for tool in tools if isinstance(tool, Mapping)]
    if not given:
        return
    tally.estimated(Estimate.TOOLS)
    per_function = FUNCTION_CL100K if encoding_of(tally.model).name == CL100K else FUNCTION
    for tool in given:
        nested = tool.get("function")
        function = nested if isinstance(nested, Mapping) else tool
        tally.add(per_function)
        if "parameters" in function or isinstance(nested, Mapping) or tool.get("type") == "function":
            tally.text(f"{function.get('name', '')}:{_undotted(function.get('description'))}")
            _properties(function.get("parameters"), tally)
        else:
            # Tools of the provider's own (web search, files, custom grammars) have no published rule.
            tally.text(_compact(tool))
    tally.add(TOOLS_END)


def count_tool_choice(choice: Any, tally: Tally) -> None:
    """Add what forcing or forbidding a tool costs."""
    if choice == "none":
        tally.add(NONE_CHOSEN)
    elif isinstance(choice, Mapping):
        tally.add(CHOSEN)
        tally.strings(choice)


def count_schema(schema_format: Any, tally: Tally) -> None:
    """Add an output schema: `{"name", "description", "schema"}`, or nothing for None."""
    if not isinstance(schema_format, Mapping):
        return
    name, description = schema_format.get("name") or "", schema_format.get("description") or ""
    tally.text(f"# Response Formats\n\n## {name}\n\n// {description}\n")
    tally.text(_compact(schema_format.get("schema")))
    tally.estimated(Estimate.SCHEMA)


def _properties(schema: Any, tally: Tally) -> None:
    if not isinstance(schema, Mapping):
        return
    if properties := mapping(schema.get("properties")):
        tally.add(PROPERTIES)
        for name, inner in properties.items():
            _property(name, mapping(inner), tally)
    for key in ("items", "additionalProperties"):
        _properties(schema.get(key), tally)
    for key in ("anyOf", "oneOf", "allOf"):
        for branch in several(schema.get(key)):
            _properties(branch, tally)
    for definition in mapping(schema.get("$defs")).values():
        _properties(definition, tally)


def _property(name: str, schema: Mapping[str, Any], tally: Tally) -> None:
    tally.add(PROPERTY)
    if choices := several(schema.get("enum")):
        tally.add(ENUM)
        for choice in choices:
            tally.add(ENUM_ITEM)
            tally.text(choice if isinstance(choice, str) else _compact(choice))
    kind = schema.get("type", "")
    words = kind if isinstance(kind, str) else "|".join(str(one) for one in several(kind))
    tally.text(f"{name}:{words}:{_undotted(schema.get('description'))}")
    _properties(schema, tally)


def _undotted(description: Any) -> str:
    return description.removesuffix(".") if isinstance(description, str) else ""


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
