"""Output types as OpenAI's strict mode takes them, and the refusals where it cannot."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.errors import TaskError
from nightmail.tasks.strict import strict_schema
from nightmail.tasks.strict_limits import check_limits

TEXT = {"type": "string"}


def strict(properties: dict[str, Any], **more: Any) -> Any:
    """The strict properties of an object with these."""
    return strict_schema({"type": "object", "properties": properties, **more})["properties"]


def test_every_object_is_closed_and_all_its_properties_are_required() -> None:
    schema = {
        "title": "Order",
        "properties": {
            "id": TEXT,
            "items": {
                "type": "array",
                "items": {"type": "object", "properties": {"price": {"type": "number"}}},
            },
        },
        "required": ["id"],
    }
    item = {
        "type": "object",
        "properties": {"price": {"type": "number"}},
        "required": ["price"],
        "additionalProperties": False,
    }
    assert strict_schema(schema) == {
        "type": "object",
        "properties": {"id": TEXT, "items": {"type": "array", "items": item}},
        "required": ["id", "items"],
        "additionalProperties": False,
    }


def test_the_given_schema_stays_as_it_was() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "default": "x", "minLength": 2}}}
    before = copy.deepcopy(schema)
    strict_schema(schema)

    assert schema == before


def test_annotations_that_the_api_refuses_or_nobody_needs_are_left_out() -> None:
    field = {
        "type": "string",
        "title": "A",
        "default": "x",
        "examples": ["y"],
        "x-mine": 1,
        "description": "Why.",
    }

    assert strict({"a": field})["a"] == {"type": "string", "description": "Why."}


def test_what_strict_mode_enforces_is_sent() -> None:
    properties = {
        "text": {"type": "string", "pattern": "^[a-z]+$"},
        "day": {"type": "string", "format": "date"},
        "n": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "multipleOf": 2},
        "list": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 3},
        "one": {"type": "string", "const": "x"},
    }
    assert strict(properties) == properties


def test_other_limits_are_said_in_words() -> None:
    found = strict(
        {
            "name": {"type": "string", "minLength": 3, "maxLength": 9, "description": "The name."},
            "site": {"type": "string", "format": "uri"},
            "price": {"type": "string", "pattern": "^(?!0)[0-9]+$"},
            "tags": {"type": "array", "items": TEXT, "uniqueItems": True},
        }
    )
    assert found["name"] == {"type": "string", "description": "The name. (minLength 3, maxLength 9)"}
    assert found["site"] == {"type": "string", "description": "(format uri)"}
    assert found["price"] == {"type": "string", "description": "(pattern ^(?!0)[0-9]+$)"}
    assert found["tags"] == {"type": "array", "items": TEXT, "description": "(uniqueItems True)"}


def test_fine_tuned_models_get_every_limit_in_words() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 5}}}

    found = strict_schema(schema, fine_tuned=True)["properties"]["n"]

    assert found == {"type": "integer", "description": "(minimum 1, maximum 5)"}


def test_one_of_becomes_any_of_without_its_discriminator() -> None:
    cat = {"type": "object", "properties": {"kind": {"const": "cat"}}}
    dog = {"type": "object", "properties": {"kind": {"const": "dog"}}}
    found = strict(
        {"pet": {"oneOf": [cat, dog], "discriminator": {"propertyName": "kind"}, "description": "It."}}
    )

    assert found["pet"].keys() == {"anyOf", "description"}
    assert [variant["properties"]["kind"] for variant in found["pet"]["anyOf"]] == [
        {"type": "string", "const": "cat"},
        {"type": "string", "const": "dog"},
    ]


def test_types_are_written_where_values_imply_them() -> None:
    found = strict(
        {"a": {"enum": ["x", None]}, "b": {"const": 3}, "c": {"enum": [True]}, "d": {"enum": [0.5]}}
    )

    assert [found[name]["type"] for name in "abcd"] == [["string", "null"], "integer", "boolean", "number"]


def test_definitions_are_kept_and_inlined_where_a_description_stands_beside_the_reference() -> None:
    schema = {
        "$ref": "#/$defs/Order",
        "$defs": {
            "Order": {
                "type": "object",
                "properties": {
                    "a": {"$ref": "#/$defs/Place"},
                    "b": {"$ref": "#/$defs/Place", "description": "To.", "default": None},
                    "c": {"allOf": [{"$ref": "#/$defs/Place"}], "description": "Via."},
                },
            },
            "Place": {"type": "object", "properties": {"town": TEXT}},
        },
    }
    found = strict_schema(schema)

    place = found["$defs"]["Place"]
    assert found["$defs"].keys() == {"Place"}
    assert found["properties"]["a"] == {"$ref": "#/$defs/Place"}
    assert found["properties"]["b"] == {**place, "description": "To."}
    assert found["properties"]["c"] == {**place, "description": "Via."}


def test_recursive_types_keep_their_references() -> None:
    node = {
        "type": "object",
        "properties": {
            "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
            "next": {"anyOf": [{"$ref": "#/$defs/Node", "description": "Next."}, {"type": "null"}]},
            "root": {"$ref": "#"},
        },
    }
    found = strict_schema({"$ref": "#/$defs/Node", "$defs": {"Node": node}})

    assert found["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert found["properties"]["root"] == {"$ref": "#"}
    assert found["$defs"]["Node"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({}, r"output\.a: any value is allowed here.*give it one"),
        (True, r"output\.a: any value"),
        ({"title": "A"}, r"output\.a: any value"),
        ({"enum": []}, r"output\.a: strict mode needs a type"),
        ({"type": "text"}, r"output\.a: there is no type 'text'"),
        (
            {"type": "object", "additionalProperties": TEXT},
            r"output\.a: strict mode has no free keys; use a list",
        ),
        ({"type": "object"}, r"output\.a: strict mode has no free keys"),
        ({"type": "object", "properties": {"b": TEXT}, "required": ["c"]}, r"output\.a: 'c' is required but"),
        ({"type": "array"}, r"output\.a\[\]: any value"),
        (
            {"type": "array", "prefixItems": [TEXT]},
            r"output\.a: strict mode has no `prefixItems`; use an object",
        ),
        ({"type": "array", "items": [TEXT]}, r"output\.a: strict mode has no tuples"),
        ({"allOf": [TEXT, TEXT]}, r"output\.a: strict mode has no `allOf`"),
        ({"type": "string", "not": {"const": "x"}}, r"output\.a: strict mode has no `not`.*`check`"),
        ({"type": "string", "if": {}, "then": {}}, r"output\.a: strict mode has no `if`"),
        ({"anyOf": [TEXT], "properties": {}}, r"output\.a: strict mode has no `properties` beside `anyOf`"),
        ({"$ref": "#/$defs/Nowhere"}, r"output\.a: '#/\$defs/Nowhere' does not lead"),
        (
            {"type": "array", "items": {"type": "object", "properties": {"price": {}}}},
            r"output\.a\[\]\.price: any value",
        ),
    ],
)
def test_what_cannot_be_repaired_is_named_by_its_place(field: Any, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        strict({"a": field})


@pytest.mark.parametrize(
    "schema",
    [
        TEXT,
        {"anyOf": [{"type": "object", "properties": {}}]},
        {"type": "array", "items": TEXT},
        {"enum": ["a"]},
    ],
)
def test_the_outermost_value_is_an_object(schema: Any) -> None:
    with pytest.raises(TaskError, match="outermost value must be an object"):
        strict_schema(schema)


def test_extra_keys_that_a_type_merely_tolerates_are_not_asked_for() -> None:
    schema = {"type": "object", "properties": {"a": TEXT}, "additionalProperties": True}

    assert strict_schema(schema)["additionalProperties"] is False


def test_an_object_without_properties_is_legal_where_it_is_meant() -> None:
    assert (
        strict({"a": {"type": "object", "properties": {}, "additionalProperties": False}})["a"]["required"]
        == []
    )


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": {"leaf": TEXT}}
    for _ in range(levels - 1):
        schema = {"type": "object", "properties": {"inner": schema}}
    return schema


@pytest.mark.parametrize(
    ("within", "beyond", "message"),
    [
        (nested(10), nested(11), "11 levels of nesting; strict mode takes 10"),
        (
            {"type": "object", "properties": {f"f{n}": TEXT for n in range(5000)}},
            {"type": "object", "properties": {f"f{n}": TEXT for n in range(5001)}},
            "5,001 properties; strict mode takes 5,000",
        ),
        (
            {"type": "object", "properties": {"a": {"enum": list(range(1000))}}},
            {"type": "object", "properties": {"a": {"enum": list(range(1001))}}},
            "1,001 enum values; strict mode takes 1,000",
        ),
        (
            {"type": "object", "properties": {"a": {"enum": [f"{n:060}" for n in range(250)]}}},
            {"type": "object", "properties": {"a": {"enum": [f"{n:060}" for n in range(251)]}}},
            r"output\.a: 251 labels of 15,060 characters",
        ),
        (
            {"type": "object", "properties": {"x" * 119_999: {"enum": ["y"]}}},
            {"type": "object", "properties": {"x" * 120_000: {"enum": ["y"]}}},
            "120,001 characters",
        ),
    ],
)
def test_the_limits_are_kept_to_the_last_one(within: Any, beyond: Any, message: str) -> None:
    strict_schema(within)
    with pytest.raises(TaskError, match=message):
        strict_schema(beyond)


def test_levels_are_counted_through_references_once() -> None:
    properties: dict[str, Any] = {"a": {"$ref": "#/$defs/D0"}, "b": {"$ref": "#/$defs/D0"}}
    chain = {
        f"D{n}": {
            "type": "object",
            "properties": {x: {"$ref": f"#/$defs/D{min(n + 1, 8)}"} for x in "abcdef"},
        }
        for n in range(9)
    }
    check_limits({"properties": properties, "$defs": chain})
    with pytest.raises(TaskError, match="11 levels"):
        check_limits({"properties": {"in": {"properties": properties}}, "$defs": chain})


LEAVES = st.sampled_from(
    [
        TEXT,
        {"type": "integer", "minimum": 0},
        {"enum": ["a", "b"]},
        {"type": ["number", "null"]},
        {"const": 1},
    ]
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1).map(
            lambda properties: {"type": "object", "properties": properties}
        ),
        inner.map(lambda items: {"type": "array", "items": items}),
        st.lists(inner, min_size=1, max_size=3).map(lambda variants: {"anyOf": variants}),
    ),
    max_leaves=8,
)


@given(SCHEMAS)
def test_a_strict_schema_is_strict_already(schema: dict[str, Any]) -> None:
    once = strict_schema({"type": "object", "properties": {"a": schema}})

    assert strict_schema(once) == once
