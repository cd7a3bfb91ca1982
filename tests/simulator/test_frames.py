"""A line read by what it shares with the first is read as if it were the first."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.request import Endpoint
from nightmail.simulator.frames import frame_of
from nightmail.simulator.validation import LineReader

TEMPLATES: dict[Endpoint, dict[str, Any]] = {
    Endpoint.CHAT: {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "TEXT"}],
        "max_completion_tokens": 9,
        "service_tier": "flex",
    },
    Endpoint.RESPONSES: {"model": "gpt-4o", "input": "TEXT", "instructions": "a", "temperature": 0.5},
}
# Among them those that stand in the template too, and what would be written otherwise than it is meant.
texts = st.sampled_from(["a", "", "user", 'a"', "\\", '","method":"POST"', "\u2028", "TEXT"]) | st.text(
    max_size=9
)


def line(endpoint: Endpoint, custom_id: str, text: str, *, ascii_only: bool = True) -> bytes:
    body = json.loads(json.dumps(TEMPLATES[endpoint]).replace('"TEXT"', json.dumps(text)))
    asked = {"custom_id": custom_id, "method": "POST", "url": endpoint.value, "body": body}
    return json.dumps(asked, ensure_ascii=ascii_only).encode("utf-8", "replace")


def read(reader: LineReader, one: bytes) -> tuple[Any, ...]:
    custom_id, ask, wrong = reader.read(one)
    if ask is None:
        return custom_id, wrong
    return custom_id, wrong, ask.text, ask.tokens, ask.cap, ask.tier, ask.recipe.model, ask.recipe.fixed


@pytest.mark.parametrize("endpoint", TEMPLATES)
@given(first=st.tuples(texts, texts), then=st.tuples(texts, texts), ascii_only=st.booleans())
def test_any_two_lines_are_read_as_each_alone(
    endpoint: Endpoint, first: tuple[str, str], then: tuple[str, str], ascii_only: bool
) -> None:
    reader = LineReader(endpoint)
    for custom_id, text in (first, then):
        one = line(endpoint, custom_id, text, ascii_only=ascii_only)
        assert read(reader, one) == read(LineReader(endpoint), one)


@pytest.mark.parametrize("endpoint", TEMPLATES)
@given(cut=st.integers(0, 400), put=st.sampled_from([b"", b'"', b"\\", b'\\"', b"\xff", b"\n", b" ", b"{"]))
def test_a_broken_line_is_told_to_be_one(endpoint: Endpoint, cut: int, put: bytes) -> None:
    whole = line(endpoint, "name", "some text")
    broken = whole[:cut] + put + whole[cut + 1 :]
    reader = LineReader(endpoint)
    reader.read(line(endpoint, "first", "other text"))

    assert read(reader, broken) == read(LineReader(endpoint), broken)


def test_the_frame_of_a_line_leaves_out_its_name_and_its_text() -> None:
    frame = frame_of(line(Endpoint.CHAT, "one", "some text"), Endpoint.CHAT)

    assert frame is not None
    assert frame.parts(line(Endpoint.CHAT, "two", 'other "text"')) == ("two", 'other "text"')
    assert frame.parts(line(Endpoint.RESPONSES, "two", "other text")) is None
    assert frame.parts(line(Endpoint.CHAT, "", "without a name")) is None


def test_most_lines_of_a_file_are_read_so(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = LineReader(Endpoint.CHAT)
    reader.read(line(Endpoint.CHAT, "first", "some text"))
    monkeypatch.setattr(reader, "_plain", lambda *_: pytest.fail("decoded whole"))

    assert read(reader, line(Endpoint.CHAT, "second", "x"))[:3] == ("second", None, "x")
