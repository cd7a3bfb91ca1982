"""Tokens of a conversation: chat messages, and the items of a Responses input.

The rule is the cookbook's: 3 per message, every string value in it, 1 more for a `name`, and 3 for the
beginning of the answer (OpenAI cookbook, "How to count tokens with tiktoken", read November 2026; the first
gpt-3.5-turbo had 4 and -1). Newer models may add framing that is not published, and the Responses API has no
published rule: it is counted the same way, and the calibration of a run shows the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nightmail.tokens.image_size import size_of_data_url
from nightmail.tokens.images import image_rule, image_tokens
from nightmail.tokens.tally import Estimate, Tally, mapping, several
from nightmail.tokens.tools import count_schema, count_tool_choice, count_tools

PER_MESSAGE = 3
PER_NAME = 1
PRIMER = 3

# A call's own framing is not published; a message's is taken.
PER_CALL = 3

# Estimates without a published rule. Audio: 10 tokens a second, at 8 kB a second (MP3 at 64 kbit/s; most
# files are longer per second, so that this is rather too much). Files: PDF pages of 50 kB and 1,000 tokens.
_AUDIO_BYTES_PER_TOKEN = 800
_FILE_BYTES_PER_TOKEN = 50


def count_chat(body: Mapping[str, Any], tally: Tally) -> None:
    """Add a chat completions body."""
    for message in several(body.get("messages")):
        _message(message, tally)
    count_tools(several(body.get("tools")), tally)
    count_tools([{"function": function} for function in several(body.get("functions"))], tally)
    count_tool_choice(body.get("tool_choice"), tally)
    count_schema(mapping(body.get("response_format")).get("json_schema"), tally)
    tally.add(PRIMER)


def count_responses(body: Mapping[str, Any], tally: Tally) -> None:
    """Add a Responses body."""
    if (instructions := body.get("instructions")) is not None:
        _message({"role": "developer", "content": instructions}, tally)
    given = body.get("input")
    if isinstance(given, str):
        _message({"role": "user", "content": given}, tally)
    else:
        for item in several(given):
            _item(item, tally)
    for stored in ("prompt", "previous_response_id", "conversation"):
        if body.get(stored) is not None:
            tally.estimated(Estimate.STORED)
    for value in mapping(mapping(body.get("prompt")).get("variables")).values():
        _content(value if isinstance(value, str) else [value], tally)
    count_tools(several(body.get("tools")), tally)
    count_tool_choice(body.get("tool_choice"), tally)
    text_format = mapping(mapping(body.get("text")).get("format"))
    if text_format.get("type") == "json_schema":
        count_schema(text_format, tally)
    tally.add(PRIMER)


def count_parts(parts: Any, tally: Tally) -> None:
    """Add content: a string, or a list of parts."""
    _content(parts, tally)


def _message(message: Any, tally: Tally) -> None:
    first_turbo = tally.model == "gpt-3.5-turbo-0301"
    tally.add(4 if first_turbo else PER_MESSAGE)
    for key, value in mapping(message).items():
        match key:
            case "content":
                _content(value, tally)
            case "name" if isinstance(value, str):
                tally.text(value)
                tally.add(-1 if first_turbo else PER_NAME)
            case "tool_calls" | "function_call":
                for call in value if isinstance(value, list) else (value,):
                    _call(call, tally)
            case "audio":
                tally.estimated(Estimate.STORED)
            case _:
                tally.strings({key: value})


def _item(given: Any, tally: Tally) -> None:
    item = mapping(given)
    match item.get("type", "message"):
        case "message":
            _message(item, tally)
        case "function_call" | "custom_tool_call":
            _call(item, tally)
        case "function_call_output" | "custom_tool_call_output":
            tally.add(PER_MESSAGE)
            _content(item.get("output"), tally)
        case "item_reference":
            tally.estimated(Estimate.STORED)
        case "reasoning":
            tally.strings(item)
            if item.get("encrypted_content"):
                tally.estimated(Estimate.STORED)
        case _:
            tally.add(PER_MESSAGE)
            tally.strings(item)
            tally.estimated(Estimate.UNKNOWN_PART)


def _call(call: Any, tally: Tally) -> None:
    if isinstance(call, Mapping):
        # `custom` calls have `input` where functions have `arguments`; ids are not counted.
        tally.add(PER_CALL)
        tally.strings(call)
        tally.estimated(Estimate.TOOL_CALLS)


def _content(content: Any, tally: Tally) -> None:
    if isinstance(content, str):
        tally.text(content)
        return
    for part in several(content):
        if isinstance(part, Mapping):
            _part(part, tally)
        else:
            tally.strings(part)


def _part(part: Mapping[str, Any], tally: Tally) -> None:
    match part.get("type"):
        case "text" | "input_text" | "output_text" | "summary_text":
            tally.strings(part.get("text"))
        case "refusal":
            tally.strings(part.get("refusal"))
        case "image_url" | "input_image":
            _image(part, tally)
        case "input_audio":
            data = _inner(part, "input_audio").get("data")
            tally.add(-(-_decoded_bytes(data) // _AUDIO_BYTES_PER_TOKEN))
            tally.estimated(Estimate.AUDIO)
        case "file" | "input_file":
            data = _inner(part, "file").get("file_data")
            tally.add(-(-_decoded_bytes(data) // _FILE_BYTES_PER_TOKEN))
            tally.estimated(Estimate.FILE)
        case _:
            tally.strings(part)
            tally.estimated(Estimate.UNKNOWN_PART)


def _image(part: Mapping[str, Any], tally: Tally) -> None:
    # Chat nests {"image_url": {"url": ..., "detail": ...}}; Responses has both in the part itself.
    image = part.get("image_url")
    url, detail = image, part.get("detail")
    if isinstance(image, Mapping):
        url, detail = image.get("url"), image.get("detail")
    size = size_of_data_url(url) if isinstance(url, str) else None
    tally.add(image_tokens(tally.model, size, detail or "auto"))
    if size is None:
        tally.estimated(Estimate.IMAGE_SIZE)
    if not image_rule(tally.model)[1]:
        tally.estimated(Estimate.IMAGE_MODEL)


def _inner(part: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inner = part.get(key)
    return inner if isinstance(inner, Mapping) else part


def _decoded_bytes(data: Any) -> int:
    return len(data) * 3 // 4 if isinstance(data, str) else 0
