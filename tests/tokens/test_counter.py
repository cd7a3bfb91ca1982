"""Counting whole request bodies for a model."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightmail.core.request import Endpoint
from nightmail.tokens.base import Counter
from nightmail.tokens.counter import counter_for
from nightmail.tokens.tally import Estimate

texts = st.text(max_size=60)
roles = st.sampled_from(["system", "user", "assistant", "developer"])
MODELS = ["gpt-4o-mini", "gpt-4", "gpt-3.5-turbo-0301", "vllm/unknown", "gpt-oss-20b"]
WORDS = [
    "messages", "input", "instructions", "prompt", "suffix", "tools", "functions", "tool_choice", "text",
    "format", "response_format", "json_schema", "schema", "type", "role", "content", "name", "tool_calls",
    "function", "parameters", "properties", "items", "enum", "anyOf", "$defs", "description", "image_url",
    "url", "detail", "input_audio", "data", "file", "file_data", "output", "variables", "summary",
]  # fmt: skip
SCHEMA = {"type": "object", "properties": {"section": {"type": "string", "enum": ["a", "b"]}}}
TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA}}


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


plain = st.builds(lambda role, text: {"role": role, "content": text}, roles, texts)
named = st.builds(lambda role, text, name: {"role": role, "content": text, "name": name}, roles, texts, texts)
in_parts = st.builds(
    lambda role, parts: {"role": role, "content": [_text_part(part) for part in parts]},
    roles,
    st.lists(texts, max_size=3),
)
called = st.builds(
    lambda name, arguments: {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
        ],
    },
    texts,
    texts,
)
chats = st.builds(
    lambda messages, extra: {"model": "m", "messages": messages, **extra},
    st.lists(plain | named | in_parts | called, max_size=4),
    st.sampled_from(
        [{}, {"tools": [TOOL]}, {"response_format": {"json_schema": {"name": "n", "schema": SCHEMA}}}]
    ),
)


@settings(max_examples=settings.default.max_examples * 3 // 5)
@given(body=chats, text=texts, role=roles, data=st.data())
@pytest.mark.parametrize("model", MODELS)
def test_a_texts_own_tokens_are_all_that_it_adds_to_a_chat(
    model: str, body: dict[str, Any], text: str, role: str, data: st.DataObject
) -> None:
    counter = counter_for(model)
    in_a_part = data.draw(st.booleans())
    at = data.draw(st.integers(0, len(body["messages"])))

    def with_text(value: str) -> dict[str, Any]:
        filled = copy.deepcopy(body)
        content: Any = [_text_part("before"), _text_part(value)] if in_a_part else value
        filled["messages"].insert(at, {"role": role, "content": content})
        return filled

    difference = counter.body(Endpoint.CHAT, with_text(text)) - counter.body(Endpoint.CHAT, with_text(""))
    assert difference == counter.text(text)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (Endpoint.RESPONSES, lambda text: {"instructions": "Be brief.", "input": text}),
        (
            Endpoint.RESPONSES,
            lambda text: {"instructions": text, "input": [{"role": "user", "content": "x"}]},
        ),
        (Endpoint.EMBEDDINGS, lambda text: {"input": text}),
        (Endpoint.EMBEDDINGS, lambda text: {"input": ["one", text]}),
        (Endpoint.COMPLETIONS, lambda text: {"prompt": text, "suffix": "end"}),
        (Endpoint.MODERATIONS, lambda text: {"input": ["one", text]}),
        (Endpoint.MODERATIONS, lambda text: {"input": [_text_part(text)]}),
    ],
)
@settings(max_examples=settings.default.max_examples // 4)
@given(text=texts)
def test_a_texts_own_tokens_are_all_that_it_adds_anywhere(endpoint: Endpoint, body: Any, text: str) -> None:
    counter = counter_for("gpt-4o")
    assert counter.body(endpoint, body(text)) - counter.body(endpoint, body("")) == counter.text(text)


def test_an_unknown_model_is_counted_with_a_tenth_on_top() -> None:
    known, unknown = counter_for("gpt-4o"), counter_for("vllm/name")
    text = "Letters sorted on the move arrive with the milk. " * 50
    assert unknown.text(text) == known.text(text) + -(-known.text(text) // 10)
    assert (known.exact, unknown.exact) == (True, False)
    assert unknown.text("") == 0


def test_one_model_has_one_counter_and_it_fits_the_port() -> None:
    counter: Counter = counter_for("gpt-4o")
    assert counter is counter_for("gpt-4o")
    assert (counter.model, counter.encoding) == ("gpt-4o", "o200k_base")


@pytest.mark.parametrize(
    ("given_input", "inputs", "tokens"),
    [
        ("night mail", 1, 2),
        (["night mail", "mail"], 2, 3),
        ([1, 2, 3], 1, 3),
        ([[1, 2, 3], [4]], 2, 4),
        ([], 0, 0),
    ],
)
def test_embedding_inputs_and_tokens_are_counted_for_every_form_of_input(
    given_input: Any, inputs: int, tokens: int
) -> None:
    counter = counter_for("text-embedding-3-small")
    body = {"model": "text-embedding-3-small", "input": given_input}
    assert counter.inputs(Endpoint.EMBEDDINGS, body) == inputs
    assert counter.body(Endpoint.EMBEDDINGS, body) == tokens


@pytest.mark.parametrize(
    "endpoint", [Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.COMPLETIONS, Endpoint.MODERATIONS]
)
def test_anything_but_an_embedding_is_one_input(endpoint: Endpoint) -> None:
    assert counter_for("gpt-4o").inputs(endpoint, {"input": ["a", "b"], "prompt": ["a", "b"]}) == 1


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [("night mail", 2), (["night mail", "mail"], 3), ([7, 8], 2), ([[7], [8, 9]], 3), (None, 0)],
)
def test_completion_prompts_are_counted_in_every_form(prompt: Any, tokens: int) -> None:
    assert counter_for("davinci-002").body(Endpoint.COMPLETIONS, {"prompt": prompt}) == tokens


@pytest.mark.parametrize("endpoint", list(Endpoint))
@pytest.mark.parametrize(
    "body",
    [
        {},
        {
            "messages": None,
            "input": None,
            "tools": None,
            "text": None,
            "response_format": None,
            "prompt": None,
        },
    ],
)
def test_an_empty_body_is_counted_without_an_error(endpoint: Endpoint, body: dict[str, Any]) -> None:
    assert counter_for("gpt-4o").body(endpoint, body) <= 3


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=settings.default.max_examples * 2)
@given(
    body=st.dictionaries(st.sampled_from(WORDS), anything, max_size=6),
    endpoint=st.sampled_from(list(Endpoint)),
)
def test_no_body_however_wrong_makes_counting_fail(body: dict[str, Any], endpoint: Endpoint) -> None:
    counter = counter_for("gpt-5.4")
    assert counter.body(endpoint, body) >= 0
    assert counter.inputs(endpoint, body) >= 0


def test_a_plain_chat_is_exact_and_says_so() -> None:
    count = counter_for("gpt-4o").count(
        Endpoint.CHAT, {"messages": [{"role": "user", "content": "night mail"}]}
    )
    assert (count.tokens, count.estimates) == (3 + 1 + 2 + 3, frozenset())


def test_an_image_by_address_is_counted_at_the_most_and_called_an_estimate() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    body = {"messages": [{"role": "user", "content": [part]}]}
    count = counter_for("gpt-4o").count(Endpoint.CHAT, body)
    assert count.tokens == 3 + 1 + (85 + 8 * 170) + 3
    assert count.estimates == {Estimate.IMAGE_SIZE}
