"""Bodies as bytes: right JSON, whatever the text, and one line for every reader."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.tasks.template import compile_template, json_body, json_string

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT)
def test_a_text_comes_back_as_it_was(text: str) -> None:
    assert json.loads(json_string(text)) == text


@given(TEXT)
def test_no_reader_sees_more_than_one_line(text: str) -> None:
    for encoded in (json_string(text), json_body({"content": text})):
        assert len(encoded.decode().splitlines()) == 1


@pytest.mark.parametrize("code", [0x2028, 0x2029, 0x85])
def test_line_ends_of_other_readers_leave_as_escapes(code: int) -> None:
    end = chr(code)

    assert json_string(f"a{end}b") == b'"a\\u%04xb"' % code
    assert json_body({"a": [end]}) == b'{"a":["\\u%04x"]}' % code


@pytest.mark.parametrize("text", ["\ud800", "a\udfff and more"])
def test_half_a_surrogate_pair_is_an_error_that_says_what_to_do(text: str) -> None:
    with pytest.raises(ValueError, match=r"surrogate.*text\.encode"):
        json_string(text)
    with pytest.raises(ValueError, match=r"surrogate.*text\.encode"):
        json_body({"messages": [{"content": text}]})


def test_a_mark_that_stands_twice_makes_no_template() -> None:
    with pytest.raises(ValueError, match="2 times"):
        compile_template("m", {"a": "@", "b": "@"}, "@", {})
