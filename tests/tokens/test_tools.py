"""Tool definitions and output schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nightmail.core.request import Endpoint
from nightmail.tokens.counter import counter_for
from nightmail.tokens.tally import Estimate

# The tools example of the OpenAI cookbook, "How to count tokens with tiktoken".
WEATHER: dict[str, Any] = {
    "name": "get_current_weather",
    "description": "Get the current weather in a given location",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {
                "type": "string",
                "description": "The unit of temperature to return",
                "enum": ["celsius", "fahrenheit"],
            },
        },
        "required": ["location"],
    },
}
MESSAGES = [
    {
        "role": "system",
        "content": "You are a helpful assistant that can answer to questions about the weather.",
    },
    {"role": "user", "content": "What's the weather like in San Francisco?"},
]


def chat(body: dict[str, Any], model: str = "gpt-4o") -> int:
    return counter_for(model).body(Endpoint.CHAT, {"messages": MESSAGES, **body})


@pytest.mark.parametrize(
    ("model", "tokens"), [("gpt-4", 105), ("gpt-3.5-turbo", 105), ("gpt-4o", 101), ("gpt-4o-mini", 101)]
)
def test_the_cookbooks_tool_example_counts_as_the_cookbook_says(model: str, tokens: int) -> None:
    assert chat({"tools": [{"type": "function", "function": WEATHER}]}, model) == tokens


def test_tools_count_the_same_nested_flat_and_as_old_functions() -> None:
    nested = chat({"tools": [{"type": "function", "function": WEATHER}]})
    assert chat({"functions": [WEATHER]}) == nested
    counter = counter_for("gpt-4o")
    flat = {"input": MESSAGES, "tools": [{"type": "function", **WEATHER}]}
    assert counter.body(Endpoint.RESPONSES, flat) == nested


def test_a_final_dot_of_a_description_is_not_counted() -> None:
    dotted = {**WEATHER, "description": WEATHER["description"] + "."}
    assert chat({"functions": [dotted]}) == chat({"functions": [WEATHER]})


def test_nested_parameters_are_counted_at_every_level() -> None:
    flat = {"name": "f", "parameters": {"properties": {"a": {"type": "object"}}}}
    inner = {"properties": {"b": {"type": ["string", "null"], "enum": ["x", 1, None]}}}
    for deeper in (
        {"a": {"type": "object", **inner}},
        {"a": {"type": "object", "items": inner}},
        {"a": {"type": "object", "anyOf": [inner]}},
    ):
        assert chat({"functions": [{"name": "f", "parameters": {"properties": deeper}}]}) > chat(
            {"functions": [flat]}
        )
    defined = {"name": "f", "parameters": {**flat["parameters"], "$defs": {"d": inner}}}  # type: ignore[dict-item]
    assert chat({"functions": [defined]}) > chat({"functions": [flat]})


def test_a_tool_without_parameters_or_of_another_kind_is_counted() -> None:
    assert chat({"tools": [{"type": "function", "function": {"name": "now"}}]}) == chat({}) + 7 + 2 + 12
    assert (
        chat({"tools": [{"type": "web_search", "filters": {"allowed_domains": ["example.org"]}}]})
        > chat({}) + 19
    )


def test_forcing_or_forbidding_a_tool_costs_a_little() -> None:
    tools = {"tools": [{"type": "function", "function": WEATHER}]}
    assert chat({**tools, "tool_choice": "auto"}) == chat(tools)
    assert chat({**tools, "tool_choice": "none"}) == chat(tools) + 1
    forced = {"type": "function", "function": {"name": "look"}}
    assert chat({**tools, "tool_choice": forced}) == chat(tools) + 7 + 1


def test_a_schema_is_counted_as_its_json_under_a_heading() -> None:
    schema = WEATHER["parameters"]
    counter = counter_for("gpt-4o")
    fmt = {"type": "json_schema", "json_schema": {"name": "Weather", "strict": True, "schema": schema}}
    heading = counter.text("# Response Formats\n\n## Weather\n\n// \n")
    expected = heading + counter.text(json.dumps(schema, separators=(",", ":")))
    assert chat({"response_format": fmt}) == chat({}) + expected
    flat = {"type": "json_schema", "name": "Weather", "strict": True, "schema": schema}
    in_responses = counter.count(Endpoint.RESPONSES, {"input": MESSAGES, "text": {"format": flat}})
    assert in_responses.tokens == chat({}) + expected
    assert in_responses.estimates == {Estimate.SCHEMA}


@pytest.mark.parametrize("kind", ["text", "json_object"])
def test_other_formats_cost_nothing(kind: str) -> None:
    assert chat({"response_format": {"type": kind}}) == chat({})
