"""The framing of conversations, against the published examples."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from nightmail.core.request import Endpoint
from nightmail.tokens.counter import counter_for
from nightmail.tokens.tally import Estimate

# The example of the OpenAI cookbook, "How to count tokens with tiktoken", with the counts it gives.
COOKBOOK = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon into "
        "plain English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for "
        "increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]


def _png(width: int, height: int) -> str:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)
    return "data:image/png;base64," + base64.b64encode(head + bytes(100)).decode()


def chat(model: str, body: dict[str, Any]) -> int:
    return counter_for(model).body(Endpoint.CHAT, body)


def responses(model: str, body: dict[str, Any]) -> int:
    return counter_for(model).body(Endpoint.RESPONSES, body)


@pytest.mark.parametrize(
    ("model", "tokens"), [("gpt-4", 129), ("gpt-3.5-turbo", 129), ("gpt-4o", 124), ("gpt-4o-mini", 124)]
)
def test_the_cookbooks_example_counts_as_the_cookbook_says(model: str, tokens: int) -> None:
    assert chat(model, {"messages": COOKBOOK}) == tokens


def test_the_first_turbo_has_its_own_framing() -> None:
    # 4 per message instead of 3, and 1 less per name instead of 1 more: six messages, four names
    assert chat("gpt-3.5-turbo-0301", {"messages": COOKBOOK}) == 129 + 6 - 2 * 4


def test_content_in_parts_counts_as_the_same_text() -> None:
    whole = {"messages": [{"role": "user", "content": "night mail"}]}
    parts = {"messages": [{"role": "user", "content": [{"type": "text", "text": "night mail"}]}]}
    assert chat("gpt-4o", whole) == chat("gpt-4o", parts)


def test_ids_of_tool_calls_are_not_counted_but_names_and_arguments_are() -> None:
    def body(call_id: str, arguments: str) -> dict[str, Any]:
        call = {"id": call_id, "type": "function", "function": {"name": "look", "arguments": arguments}}
        return {
            "messages": [
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": call_id, "content": "4"},
            ]
        }

    assert chat("gpt-4o", body("a", "{}")) == chat("gpt-4o", body("call_0123456789abcdef", "{}"))
    assert chat("gpt-4o", body("a", '{"place": "Crewe"}')) > chat("gpt-4o", body("a", "{}"))
    count = counter_for("gpt-4o").count(Endpoint.CHAT, body("a", "{}"))
    assert count.estimates == {Estimate.TOOL_CALLS}


def test_an_image_of_known_size_is_counted_by_it_in_chat_and_in_responses() -> None:
    in_chat = {"type": "image_url", "image_url": {"url": _png(1024, 1024), "detail": "high"}}
    in_responses = {"type": "input_image", "image_url": _png(1024, 1024), "detail": "high"}
    without = {"messages": [{"role": "user", "content": []}]}
    with_image = {"messages": [{"role": "user", "content": [in_chat]}]}
    assert chat("gpt-4o", with_image) - chat("gpt-4o", without) == 765
    empty = {"input": [{"role": "user", "content": []}]}
    assert (
        responses("gpt-4o", {"input": [{"role": "user", "content": [in_responses]}]})
        - responses("gpt-4o", empty)
        == 765
    )
    assert counter_for("gpt-4o").count(Endpoint.CHAT, with_image).estimates == frozenset()


def test_an_image_for_a_model_without_a_known_rule_is_called_an_estimate() -> None:
    part = {"type": "image_url", "image_url": {"url": _png(64, 64)}}
    body = {"messages": [{"role": "user", "content": [part]}]}
    assert counter_for("vllm/seer").count(Endpoint.CHAT, body).estimates == {Estimate.IMAGE_MODEL}


def test_a_responses_text_counts_as_the_same_conversation_in_chat() -> None:
    as_chat = {
        "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "night mail"}]
    }
    as_text = {"instructions": "Be brief.", "input": "night mail"}
    as_items = {
        "instructions": "Be brief.",
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "night mail"}]}
        ],
    }
    assert chat("gpt-4o", as_chat) == responses("gpt-4o", as_text) == responses("gpt-4o", as_items)


@pytest.mark.parametrize(
    ("item", "estimates"),
    [
        ({"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}, {Estimate.TOOL_CALLS}),
        ({"type": "function_call_output", "call_id": "c", "output": "sunny"}, set()),
        (
            {
                "type": "function_call_output",
                "call_id": "c",
                "output": [{"type": "input_text", "text": "sunny"}],
            },
            set(),
        ),
        ({"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "so"}]}, set()),
        ({"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "xyz"}, {Estimate.STORED}),
        ({"type": "item_reference", "id": "msg_1"}, {Estimate.STORED}),
        ({"type": "of_tomorrow", "says": "hello"}, {Estimate.UNKNOWN_PART}),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}, {Estimate.FILE}),
        ({"role": "user", "content": [{"type": "hologram", "data": "hello"}]}, {Estimate.UNKNOWN_PART}),
    ],
)
def test_every_kind_of_item_is_counted_and_estimates_are_named(
    item: dict[str, Any], estimates: set[Estimate]
) -> None:
    count = counter_for("gpt-5").count(Endpoint.RESPONSES, {"input": [item]})
    assert count.estimates == estimates
    assert count.tokens >= 3


@pytest.mark.parametrize("key", ["prompt", "previous_response_id", "conversation"])
def test_what_the_provider_has_stored_is_called_an_estimate(key: str) -> None:
    body = {
        "input": "x",
        key: {"id": "pmpt_1", "variables": {"city": "Crewe"}} if key == "prompt" else "id_1",
    }
    assert counter_for("gpt-5").count(Endpoint.RESPONSES, body).estimates == {Estimate.STORED}


def test_audio_and_files_grow_with_their_bytes() -> None:
    def body(part: dict[str, Any]) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": [part]}]}

    def audio(size: int) -> dict[str, Any]:
        data = base64.b64encode(bytes(size)).decode()
        return body({"type": "input_audio", "input_audio": {"data": data, "format": "mp3"}})

    def document(size: int) -> dict[str, Any]:
        data = "data:application/pdf;base64," + base64.b64encode(bytes(size)).decode()
        return body({"type": "file", "file": {"filename": "a.pdf", "file_data": data}})

    assert chat("gpt-4o", audio(60_000)) - chat("gpt-4o", audio(0)) == 75
    assert chat("gpt-4o", document(60_000)) > chat("gpt-4o", document(6_000)) > chat("gpt-4o", document(0))
