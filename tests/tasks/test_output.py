"""Output types of every kind: what is asked for, what is read, and the columns that come of it."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa
import pydantic
import pytest

from nightmail.core.result import Response
from nightmail.errors import TaskError
from nightmail.tasks.base import Task
from nightmail.tasks.prepared import PreparedTask

Answer = Callable[..., Response]


class Item(pydantic.BaseModel):
    price: float
    note: str | None = None


class Bill(pydantic.BaseModel):
    """A bill."""

    number: int = pydantic.Field(alias="no", ge=1)
    day: datetime.date
    items: list[Item]
    total: decimal.Decimal = decimal.Decimal(0)

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def count(self) -> int:
        return len(self.items)


class Point(msgspec.Struct, rename="camel"):
    x_value: float
    tag: Literal["a", "b"] = "a"


@dataclasses.dataclass
class Size:
    wide: int
    high: int = 1


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


SCHEMA = {
    "title": "Person!",
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "age": {"type": "integer"},
        "score": {"type": "number"},
        "extra": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    },
    "required": ["name"],
}


def prepared(output: Any, **attributes: Any) -> PreparedTask:
    class Asking(Task):
        model = "gpt-4o-mini"

        def build(self, record: Any) -> str:
            return str(record)

    return PreparedTask(type("Mine", (Asking,), {"output": output, **attributes}))


def arrow(task: PreparedTask) -> dict[str, str]:
    schema = task.arrow_schema()
    assert schema is not None
    return {field.name: str(field.type) for field in schema}


def table(task: PreparedTask, *outputs: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pa.Table.from_pylist(
        task.rows(outputs), schema=task.arrow_schema()
    ).to_pylist()
    return rows


def test_a_pydantic_model_is_asked_for_by_alias_and_tabled_by_name(answer: Answer) -> None:
    task = prepared(Bill)
    text = '{"no": 3, "day": "2026-11-01", "items": [{"price": 1, "note": null}], "total": "2.50"}'
    bill = task.judge(answer(text)).output

    assert task.output_name == "Bill"
    assert task.schema is not None
    assert task.schema["required"] == ["no", "day", "items", "total"]
    assert isinstance(bill, Bill)
    assert arrow(task) == {
        "number": "int64",
        "day": "string",
        "items": "list<item: struct<price: double, note: string>>",
        "total": "string",
        "count": "int64",
    }
    assert table(task, bill) == [
        {
            "number": 3,
            "day": "2026-11-01",
            "items": [{"price": 1.0, "note": None}],
            "total": "2.50",
            "count": 1,
        }
    ]


def test_a_msgspec_struct_keeps_its_encoded_names(answer: Answer) -> None:
    task = prepared(Point)
    point = task.judge(answer('{"xValue": 3, "tag": "b"}')).output

    assert point == Point(3.0, "b")
    assert task.schema is not None
    assert task.schema["required"] == ["xValue", "tag"]
    assert table(task, point) == [{"xValue": 3.0, "tag": "b"}]


def test_a_dataclass_will_do(answer: Answer) -> None:
    task = prepared(Size)
    size = task.judge(answer('{"wide": 3, "high": 4}')).output

    assert size == Size(3, 4)
    assert table(task, size) == [{"wide": 3, "high": 4}]


def test_a_json_schema_gives_plain_values_of_the_columns_types(answer: Answer) -> None:
    task = prepared(SCHEMA)
    text = '{"name": "Ada", "age": 3.0, "score": 4, "extra": 5}'
    person = task.judge(answer(text)).output
    short = task.judge(answer('{"name": "Bo", "age": null, "score": null, "extra": null}')).output

    assert task.output_name == "Person"
    assert arrow(task) == {"name": "string", "age": "int64", "score": "double", "extra": "string"}
    assert table(task, person, short) == [
        {"name": "Ada", "age": 3, "score": 4.0, "extra": "5"},
        {"name": "Bo", "age": None, "score": None, "extra": None},
    ]


def test_optional_fields_of_a_json_schema_are_asked_for_as_nullable() -> None:
    schema = prepared(SCHEMA).schema
    assert schema is not None

    assert schema["required"] == ["name", "age", "score", "extra"]
    assert schema["properties"]["age"] == {"type": ["integer", "null"]}
    assert schema["properties"]["extra"]["anyOf"][-1] == {"type": "null"}
    assert SCHEMA["properties"]["age"] == {"type": "integer"}  # type: ignore[index]


@pytest.mark.parametrize(
    ("given", "nullable"),
    [
        ({"const": "x"}, {"anyOf": [{"type": "string", "const": "x"}, {"type": "null"}]}),
        ({"type": "string", "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
        ),
        ({"type": "string", "default": "x"}, {"type": "string"}),
    ],
)
def test_every_kind_of_optional_field_takes_null_once(given: Any, nullable: Any) -> None:
    schema = prepared({"type": "object", "properties": {"a": given}}).schema
    assert schema is not None

    assert schema["properties"]["a"] == nullable


def test_optional_fields_inside_lists_unions_and_definitions_take_null_too(answer: Answer) -> None:
    inner = {"type": "object", "properties": {"properties": {"type": "string"}}}
    schema = {
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": inner},
            "union": {"anyOf": [inner, {"type": "null"}]},
            "named": {"$ref": "#/$defs/Inner"},
        },
        "required": ["list", "union", "named"],
        "$defs": {"Inner": inner},
    }
    hollow = '{"properties": null}'
    text = f'{{"list": [{hollow}], "union": {hollow}, "named": {hollow}}}'

    assert prepared(schema).judge(answer(text)).rejection is None


def test_a_schema_may_come_in_the_wrapping_of_the_api() -> None:
    inner = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    named = {"name": "mine", "strict": True, "schema": inner}
    for given in (named, {"type": "json_schema", "json_schema": named}):
        task = prepared(given)
        assert task.output_name == "mine"
        assert arrow(task) == {"a": "string"}


@pytest.mark.parametrize(
    ("output", "labels", "text", "expected", "column"),
    [
        (Literal["a", "b"], ["a", "b"], '{"label": "b"}', "b", "b"),
        (Literal[1, 2], [1, 2], '{"label": 2}', 2, 2),
        (Colour, ["blue", "red"], '{"label": "blue"}', Colour.BLUE, "blue"),
    ],
)
def test_labels_travel_in_an_object_and_are_unwrapped(
    answer: Answer, output: Any, labels: list[Any], text: str, expected: Any, column: Any
) -> None:
    task = prepared(output)
    found = task.judge(answer(text)).output

    assert task.schema is not None
    label = task.schema["properties"]["label"]
    asked = task.schema["$defs"]["Colour"] if output is Colour else label
    assert sorted(asked["enum"]) == labels
    assert found == expected
    assert table(task, found) == [{"output": column}]


@pytest.mark.parametrize(
    ("output", "text", "column"),
    [
        (list[int], '{"output": [1, 2]}', [1, 2]),
        (list[Item], '{"output": [{"price": 2, "note": "x"}]}', [{"price": 2.0, "note": "x"}]),
        (int, '{"output": 3}', 3),
        (Annotated[str, msgspec.Meta(max_length=3)], '{"output": "abc"}', "abc"),
        (Point | None, '{"output": null}', None),
        (pydantic.RootModel[list[str]], '{"output": ["a"]}', ["a"]),
    ],
)
def test_what_is_no_object_travels_in_one(answer: Answer, output: Any, text: str, column: Any) -> None:
    task = prepared(output)

    assert task.schema is not None
    assert task.schema["required"] == ["output"]
    assert table(task, task.judge(answer(text)).output) == [{"output": column}]


def test_plain_text_is_the_column_output(answer: Answer) -> None:
    task = prepared(None)

    assert task.schema is None
    assert table(task, task.judge(answer("hello")).output) == [{"output": "hello"}]


def test_embeddings_are_one_vector_or_several(answer: Answer) -> None:
    one, several = prepared(None, endpoint="embeddings"), prepared(list, endpoint="embeddings")
    vectors = [[1.0, 2.0], [0.5, 0.25]]

    assert arrow(one) == {"embedding": "list<item: float>"}
    assert arrow(several) == {"embeddings": "list<item: list<item: float>>"}
    assert table(one, one.judge(answer(vectors=vectors[:1])).output) == [{"embedding": [1.0, 2.0]}]
    assert table(several, several.judge(answer(vectors=vectors)).output) == [{"embeddings": vectors}]


def test_moderations_have_a_column_for_each_part(answer: Answer) -> None:
    task = prepared(None, endpoint="moderations")
    result = {"flagged": True, "categories": {"hate": True}, "category_scores": {"hate": 0.9, "new": 1}}
    rows = table(task, task.judge(answer(raw={"results": [result]})).output)

    assert rows[0]["flagged"] is True
    assert rows[0]["categories"]["hate"] is True
    assert rows[0]["categories"]["violence"] is None
    assert rows[0]["category_scores"]["hate"] == 0.9


def test_values_without_one_type_are_columns_of_json(answer: Answer) -> None:
    class Tree(pydantic.BaseModel):
        name: str
        kids: list[Tree] = []

    Tree.model_rebuild(_types_namespace={"Tree": Tree})
    task = prepared(Tree)
    tree = task.judge(answer('{"name": "a", "kids": [{"name": "b", "kids": []}]}')).output

    assert arrow(task) == {"name": "string", "kids": "list<item: string>"}
    assert table(task, tree) == [{"name": "a", "kids": ['{"name":"b","kids":[]}']}]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (dict[str, int], "no free keys"),
        (tuple[int, str], r"output\.output: strict mode has no `prefixItems`"),
        (Any, "output: any value"),
        (object(), "cannot be described to a model"),
        ({"type": "object", "properties": {"a": {"type": "wrong"}}}, "not a valid JSON schema at schema"),
        ({"properties": {"a": {"$ref": "https://example.com/a.json"}}}, "leads out of the schema"),
    ],
)
def test_a_type_that_cannot_be_asked_for_is_refused(output: Any, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        prepared(output)
