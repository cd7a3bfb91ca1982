"""Values made from schemas, and the rules that schemas are held to."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightmail.simulator.formats import chat_form, responses_form
from nightmail.simulator.refusal import Refusal
from nightmail.simulator.schemas import Material, compiled

TEXT = "Opens a socket to a server. Reads bytes until the peer closes.\nMay block."

_leaves = st.one_of(
    st.builds(
        lambda low, high: {"type": "string", "minLength": low, "maxLength": low + high},
        st.integers(0, 300),
        st.integers(0, 50),
    ),
    st.just({"type": "string"}),
    st.sampled_from(["date-time", "date", "email", "uuid", "ipv4"]).map(
        lambda name: {"type": "string", "format": name}
    ),
    st.builds(
        lambda low, width: {"type": "integer", "minimum": low, "maximum": low + width},
        st.integers(-50, 50),
        st.integers(0, 20),
    ),
    st.builds(lambda low: {"type": "number", "exclusiveMinimum": low}, st.integers(-50, 50)),
    st.builds(
        lambda step: {"type": "integer", "multipleOf": step, "minimum": 1, "maximum": 100}, st.integers(1, 40)
    ),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5, unique=True).map(
        lambda values: {"type": "string", "enum": values}
    ),
    st.sampled_from([{"const": 7}, {"enum": [1, 2, None]}, {"type": ["string", "null"]}]),
)


def _object(parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": parts, "required": list(parts), "additionalProperties": False}


_parts = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4).map(_object),
        st.builds(
            lambda items, low, more: {
                "type": "array",
                "items": items,
                "minItems": low,
                "maxItems": low + more,
            },
            inner,
            st.integers(0, 3),
            st.integers(0, 3),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=8,
)
strict_schemas = st.dictionaries(st.text(min_size=1, max_size=8), _parts, min_size=1, max_size=4).map(_object)


@settings(max_examples=settings.default.max_examples * 3 // 2)
@given(schema=strict_schemas, text=st.text(max_size=80), seed=st.integers(0, 3))
def test_every_strict_schema_gets_a_value_that_fits_it(schema: dict[str, Any], text: str, seed: int) -> None:
    make = compiled(schema)

    value = make(Material(text, seed))

    jsonschema_rs.validate(schema, value)
    assert value == make(Material(text, seed))


def test_a_schema_that_contains_itself_ends() -> None:
    node = _object(
        {
            "name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        }
    )
    schema = {**_object({"root": {"$ref": "#/$defs/node"}}), "$defs": {"node": node}}

    jsonschema_rs.validate(schema, compiled(schema)(Material(TEXT)))


def test_the_root_may_be_referred_to() -> None:
    schema = _object({"label": {"enum": ["a", "b"]}, "inner": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}})

    jsonschema_rs.validate(schema, compiled(schema)(Material(TEXT)))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("A library to open a socket on the network.", "network"),
        ("Copies files and folders.", "file"),
        ("数学の問題を解く", "数学"),
    ],
)
def test_a_label_is_chosen_by_the_words_it_shares_with_the_text(text: str, label: str) -> None:
    make = compiled({"enum": ["file", "network", "数学", "text processing"]})

    assert make(Material(text)) == label


def test_strings_are_sentences_of_the_text() -> None:
    make = compiled(_object({"first": {"type": "string"}, "second": {"type": "string"}}))

    assert make(Material(TEXT)) == {
        "first": "Opens a socket to a server.",
        "second": "Reads bytes until the peer closes.",
    }


def test_a_reference_to_nowhere_is_an_error() -> None:
    with pytest.raises(ValueError, match="#/\\$defs/none"):
        compiled({"$ref": "#/$defs/none"})


def _chat(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": schema, **more},
    }


@pytest.mark.parametrize(
    ("given_format", "message"),
    [
        (
            {"type": "object", "properties": {}},
            "Supported values are: 'json_object', 'json_schema', and 'text'",
        ),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"json_schema": {}}, "response_format.type"),
        ("json", "expected an object, but got a string"),
        (_chat({"type": "object", "properties": {}}), "'additionalProperties' is required"),
        (_chat({**_object({"a": {"type": "string"}}), "required": []}), "Missing 'a'"),
        (_chat({"type": "array", "items": {"type": "string"}}), "got 'type: \"array\"'"),
        (_chat(_object({"a": {"type": "object", "properties": {}}})), "In context=('properties', 'a')"),
    ],
)
def test_a_response_format_the_provider_would_refuse_is_refused(given_format: Any, message: str) -> None:
    with pytest.raises(Refusal) as caught:
        chat_form(given_format)

    assert message in caught.value.message
    assert caught.value.status == 400


def test_both_endpoints_read_the_same_schema() -> None:
    schema = _object({"a": {"type": "string"}})

    assert chat_form(_chat(schema)).schema == schema
    assert responses_form({"format": {"type": "json_schema", "name": "x", "schema": schema}}).schema == schema
    assert chat_form({"type": "json_object"}).json
    assert responses_form(None).schema is None
