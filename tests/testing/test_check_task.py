"""`check_task`: one record through a task without a call, and what it finds."""

from __future__ import annotations

import datetime
import enum
import uuid
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest

from nightmail.core.request import Endpoint
from nightmail.errors import Rejected, TaskError
from nightmail.tasks import checks
from nightmail.tasks.base import Task
from nightmail.testing.checks import check_task


class Section(pydantic.BaseModel):
    section: Literal["net", "math"]
    why: str


class Sections(Task):
    """Which section?"""

    model = "gpt-4o-mini"
    output: Any = Section

    def build(self, record: Any) -> Any:
        return f"Which section? {record['text']}"

    def check(self, output: Any, record: Any) -> None:
        checks.non_empty(output, "why")


RECORD = {"text": "a chess engine"}


def subclass(**attributes: Any) -> type[Task]:
    attributes.setdefault("check", Task.check)
    return type("Mine", (Sections,), attributes)


def test_a_good_task_gives_its_request() -> None:
    request = check_task(Sections, RECORD)

    assert request.body["messages"] == [{"role": "user", "content": "Which section? a chess engine"}]
    assert (request.endpoint, request.model) == (Endpoint.CHAT, "gpt-4o-mini")
    assert request.schema is not None
    assert request.schema["required"] == ["section", "why"]
    assert 10 < request.tokens < 100
    assert request.output == Section(section="net", why="A sample text")
    assert check_task(Sections(), RECORD).tokens == request.tokens


@pytest.mark.parametrize("given", [{"section": "math", "why": "x"}, '{"section": "math", "why": "x"}'])
def test_an_answer_may_be_given_as_a_value_or_a_text(given: Any) -> None:
    assert check_task(Sections, RECORD, answer=given).output.section == "math"
    assert check_task(Sections, RECORD, answer=Section(section="math", why="x")).output.section == "math"


class Colour(enum.Enum):
    RED = "red"


class Everything(pydantic.BaseModel):
    when: datetime.datetime
    day: datetime.date
    id: uuid.UUID
    mail: Annotated[str, pydantic.StringConstraints(min_length=20, max_length=30)]
    n: Annotated[int, pydantic.Field(gt=3, multiple_of=5)]
    low: Annotated[int, pydantic.Field(lt=-3)]
    share: Annotated[float, pydantic.Field(ge=0, le=1)]
    above: Annotated[float, pydantic.Field(gt=10)]
    below: Annotated[float, pydantic.Field(lt=-10)]
    pair: Annotated[list[Colour], pydantic.Field(min_length=2)]
    maybe: Section | None
    either: int | str
    yes: bool
    nothing: None
    fixed: Literal["x"]
    kids: list[Everything] = []
    next: Everything | None = None


class Tree(msgspec.Struct):
    name: str
    left: Tree | None
    more: list[Tree]


@pytest.mark.parametrize(
    "output",
    [None, Literal["a", "b"], Colour, list[Section], Everything, Tree, {"type": "object", "properties": {}}],
)
@pytest.mark.parametrize("endpoint", ["chat", "responses", "completions"])
def test_an_answer_is_made_up_for_every_kind_of_output(output: Any, endpoint: str) -> None:
    if isinstance(output, dict):
        output = {
            "type": "object",
            "properties": {
                "a": {"type": ["null", "number"]},
                "b": {"anyOf": [{"type": "null"}, {"$ref": "#"}]},
                "c": {"enum": [3, 4]},
            },
            "required": ["a", "b", "c"],
            "additionalProperties": False,
        }
    assert check_task(subclass(output=output, endpoint=endpoint), RECORD).tokens > 0


def test_embeddings_and_moderations_are_tried_too() -> None:
    one = subclass(endpoint="embeddings", output=None)
    several = subclass(endpoint="embeddings", output=list, build=lambda self, record: ["a", "b"])

    assert check_task(one, RECORD).output == [0.1, -0.2, 0.3]
    assert check_task(one, RECORD, answer=[1.0]).output == [1.0]
    assert check_task(several, RECORD, answer=[[1.0], [2.0]]).output == [[1.0], [2.0]]
    assert check_task(subclass(endpoint="moderations", output=None), RECORD).output["flagged"] is False


def test_a_schema_that_the_api_would_refuse_is_found() -> None:
    with pytest.raises(TaskError, match=r"output\.prices: strict mode has no free keys"):
        check_task(subclass(output=pydantic.create_model("Bad", prices=(dict[str, float], ...))), RECORD)


def test_what_build_raises_goes_through() -> None:
    with pytest.raises(KeyError, match="text"):
        check_task(Sections, {})


def test_an_answer_that_is_not_accepted_is_told_with_the_reason() -> None:
    with pytest.raises(AssertionError, match=r"Sections does not accept .*: schema: section: "):
        check_task(Sections, RECORD, answer={"section": "x", "why": ""})


def test_a_made_up_answer_that_cannot_be_right_asks_for_one() -> None:
    class Coded(pydantic.BaseModel):
        code: Annotated[str, pydantic.Field(pattern="^[A-Z]{3}$")]

    with pytest.raises(AssertionError, match=r"give yours: check_task\(\.\.\., answer=\.\.\.\)"):
        check_task(subclass(output=Coded), RECORD)
    assert check_task(subclass(output=Coded), RECORD, answer={"code": "ABC"}).tokens > 0


def test_a_check_that_breaks_or_says_no_is_told() -> None:
    def broken(self: Any, output: Any, record: Any) -> None:
        raise KeyError("nope")

    def strict(self: Any, output: Any, record: Any) -> None:
        raise Rejected("never good enough")

    with pytest.raises(AssertionError, match="check raised KeyError: 'nope'"):
        check_task(subclass(check=broken), RECORD)
    with pytest.raises(AssertionError, match=r"Mine\.check says to .*never good enough"):
        check_task(subclass(check=strict), RECORD)


def test_a_parse_whose_value_fits_no_table_is_told() -> None:
    with pytest.raises(AssertionError, match="does not fit a table"):
        check_task(subclass(parse=lambda self, response: {"x": object()}), RECORD)


def test_a_repair_that_returns_no_body_is_told() -> None:
    with pytest.raises(TaskError, match="repair returned a str"):
        check_task(subclass(repair=lambda self, request, rejection: "again"), RECORD)
