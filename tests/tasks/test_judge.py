"""Answers of every kind: which will do, which will not, and what is said about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.result import Finish, Rejection, Response
from nightmail.errors import Rejected
from nightmail.tasks.base import Task
from nightmail.tasks.judge import Judged
from nightmail.tasks.prepared import PreparedTask

Answer = Callable[..., Response]


class AsModel(pydantic.BaseModel):
    section: Literal["net", "math"]
    prices: list[int] = []


class AsStruct(msgspec.Struct):
    section: Literal["net", "math"]
    prices: list[int] = []


AS_SCHEMA = {
    "type": "object",
    "properties": {
        "section": {"type": "string", "enum": ["net", "math"]},
        "prices": {"type": "array", "items": {"type": "integer"}, "default": []},
    },
    "required": ["section"],
}
KINDS = [AsModel, AsStruct, AS_SCHEMA]


class Asking(Task):
    model = "gpt-4o-mini"

    def build(self, record: Any) -> str:
        return str(record)


def prepared(**attributes: Any) -> PreparedTask:
    return PreparedTask(type("Mine", (Asking,), attributes))


def judge(response: Response, **attributes: Any) -> Judged:
    return prepared(**attributes).judge(response)


every_kind = pytest.mark.parametrize("output", KINDS, ids=["pydantic", "msgspec", "json schema"])


@every_kind
def test_a_good_answer_is_the_output(answer: Answer, output: Any) -> None:
    judged = judge(answer('{"section": "net", "prices": [1, 2]}'), output=output)

    assert (judged.rejection, judged.message, judged.complaint) == (None, None, None)
    assert prepared(output=output).rows([judged.output]) == [{"section": "net", "prices": [1, 2]}]


@every_kind
@pytest.mark.parametrize(
    "text", ['{"section": "net"', "Sure! Here it is.", "{'section': 'net'}", '{"section": 3']
)
def test_what_is_not_json_is_malformed(answer: Answer, output: Any, text: str) -> None:
    judged = judge(answer(text), output=output)

    assert judged.rejection is Rejection.MALFORMED
    assert judged.message is not None
    assert judged.message.startswith("the answer is not JSON: ")
    assert "section" not in judged.message


@every_kind
@pytest.mark.parametrize(("text", "said"), [("", "is empty"), ("  \n", "is empty"), (None, "has no text")])
def test_no_text_is_malformed(answer: Answer, output: Any, text: str | None, said: str) -> None:
    judged = judge(answer(text), output=output)

    assert (judged.rejection, judged.message) == (Rejection.MALFORMED, f"the answer {said}")


@every_kind
def test_a_wrong_label_is_named_by_its_place_and_quoted_only_to_the_model(
    answer: Answer, output: Any
) -> None:
    judged = judge(answer('{"section": "secret"}'), output=output)

    assert judged.rejection is Rejection.SCHEMA
    assert judged.message is not None
    assert judged.complaint is not None
    assert judged.message.startswith("section: ")
    assert "net" in judged.message
    assert "secret" not in judged.message
    assert "secret" in judged.complaint


@every_kind
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"section": "net", "prices": [1, "x"]}', "prices[1]: "),
        ('{"section": "net", "prices": null}', "prices: "),
        ('{"prices": []}', ""),
        ("[1]", ""),
        ("3", ""),
    ],
)
def test_json_of_another_type_is_a_schema_rejection_at_its_place(
    answer: Answer, output: Any, text: str, place: str
) -> None:
    judged = judge(answer(text), output=output)

    assert judged.rejection is Rejection.SCHEMA
    assert judged.message is not None
    assert judged.message.startswith(place)


@every_kind
def test_a_number_beyond_64_bits_fits_no_column(answer: Answer, output: Any) -> None:
    for number, fits in ((2**63 - 1, True), (-(2**63), True), (2**63, False), (10**30, False)):
        judged = judge(answer(f'{{"section": "net", "prices": [1, {number}]}}'), output=output)
        assert (judged.rejection is None) is fits, number
        if not fits:
            assert judged.message == "prices[1]: the number does not fit into 64 bits"


def test_an_exponent_may_make_an_integer_too_large(answer: Answer) -> None:
    large = judge(answer('{"section": "net", "prices": [1e30]}'), output=AS_SCHEMA)
    fits = judge(answer('{"section": "net", "prices": [1e3]}'), output=AS_SCHEMA)

    assert large.rejection is Rejection.SCHEMA
    assert fits.rejection is None


@every_kind
@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}```\n", "\n```JSON\n{}\n```"])
def test_one_fence_around_the_whole_answer_is_forgiven(answer: Answer, output: Any, fence: str) -> None:
    good, bad = '{"section": "net"}', '{"section": "none"}'

    assert judge(answer(fence.replace("{}", good)), output=output).rejection is None
    assert judge(answer(fence.replace("{}", bad)), output=output).rejection is Rejection.SCHEMA
    assert (
        judge(answer("Here:\n" + fence.replace("{}", good)), output=output).rejection is Rejection.MALFORMED
    )


def test_limits_that_were_not_sent_are_still_enforced(answer: Answer) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 3},
            "mail": {"type": "string", "format": "email"},
        },
        "required": ["name"],
    }
    short = judge(answer('{"name": "x", "mail": null}'), output=schema)
    bad_mail = judge(answer('{"name": "xyz", "mail": "nowhere"}'), output=schema)

    assert short.rejection is bad_mail.rejection is Rejection.SCHEMA
    assert short.message == "name: the value is shorter than 3 characters"


def test_at_most_three_problems_are_told(answer: Answer) -> None:
    judged = judge(answer('{"section": "net", "prices": ["a", "b", "c", "d"]}'), output=AsModel)

    assert judged.message is not None
    assert judged.message.count("prices[") == 3


def test_a_long_value_is_quoted_in_part(answer: Answer) -> None:
    judged = judge(answer(json.dumps({"section": "x" * 10_000})), output=AsModel)

    assert judged.complaint is not None
    assert len(judged.complaint) < 300


def test_what_only_msgspec_finds_is_told_in_its_words(answer: Answer) -> None:
    class Even(msgspec.Struct):
        n: int

        def __post_init__(self) -> None:
            if self.n % 2:
                raise ValueError("n must be even")

    judged = judge(answer('{"n": 3}'), output=Even)

    assert (judged.rejection, judged.message) == (Rejection.SCHEMA, "n must be even")


def test_a_validator_that_breaks_is_no_crash(answer: Answer) -> None:
    class Broken(pydantic.BaseModel):
        n: int

        @pydantic.field_validator("n")
        @classmethod
        def look_up(cls, value: int) -> int:
            return {"a": 1}[value]  # type: ignore[index]

    judged = judge(answer('{"n": 3}'), output=Broken)

    assert judged.rejection is Rejection.MALFORMED
    assert judged.message == "reading the answer raised KeyError: 3"


@pytest.mark.parametrize("output", [None, AsModel])
def test_the_way_an_answer_ended_is_judged_first(answer: Answer, output: Any) -> None:
    good = '{"section": "net"}'
    cases = [
        (answer(refusal="I cannot."), Rejection.REFUSED, "I cannot."),
        (answer("", refusal="I cannot.", finish=Finish.TRUNCATED), Rejection.REFUSED, "I cannot."),
        (answer(good, finish=Finish.TRUNCATED), Rejection.TRUNCATED, "the answer stopped at the output cap"),
        (answer(finish=Finish.TRUNCATED), Rejection.TRUNCATED, "the answer stopped at the output cap"),
        (answer(good, finish=Finish.FILTERED), Rejection.REFUSED, "content filter"),
        (answer(good, refusal="but"), None, None),
    ]
    for response, reason, message in cases:
        judged = judge(response, output=output)
        assert (judged.rejection, judged.message) == (reason, message)


def test_a_text_must_say_something(answer: Answer) -> None:
    assert judge(answer("hello")).output == "hello"
    for nothing in ("", " \n", None):
        assert judge(answer(nothing)).rejection is Rejection.MALFORMED


def test_embeddings_without_the_right_number_of_vectors_are_rejected(answer: Answer) -> None:
    assert judge(answer(), endpoint="embeddings").rejection is Rejection.MALFORMED
    two = judge(answer(vectors=[[1.0], [2.0]]), endpoint="embeddings")
    assert (two.rejection, two.message) == (Rejection.SCHEMA, "the answer holds 2 vectors instead of one")


def test_moderations_without_one_result_are_rejected(answer: Answer) -> None:
    assert judge(answer(raw={"error": 1}), endpoint="moderations").rejection is Rejection.MALFORMED
    assert judge(answer(raw={"results": []}), endpoint="moderations").rejection is Rejection.SCHEMA


def test_a_parse_of_ones_own_decides(answer: Answer) -> None:
    class Mine(Asking):
        output = AsModel

        def parse(self, response: Response) -> str:
            if response.text == "again":
                raise Rejected("say more")
            section: str = super().parse(response).section
            return section.upper() if section == "net" else {"net": ""}[section]

    task = PreparedTask(Mine)

    assert task.judge(answer('{"section": "net"}')).output == "NET"
    again = task.judge(answer("again"))
    assert (again.rejection, again.message) == (Rejection.CHECK, "say more")
    broken = task.judge(answer('{"section": "math"}'))
    assert (broken.rejection, broken.message) == (Rejection.MALFORMED, "parse raised KeyError: 'math'")
    wrong = task.judge(answer('{"section": "x"}'))
    assert wrong.rejection is Rejection.SCHEMA


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["section", "prices", "x"]), inner),
    max_leaves=6,
)
PREPARED = [prepared(output=output) for output in [*KINDS, Literal["a", "b"], None]]


@given(st.text() | JSON.map(json.dumps))
def test_no_answer_makes_judging_raise(text: str) -> None:
    response = Response(model="m", whole=msgspec.Raw(b"{}"), text=text)
    for task in PREPARED:
        judged = task.judge(response)
        assert (judged.rejection is None) == (judged.message is None)
        if judged.rejection is None:
            task.rows([judged.output])


def test_deep_nesting_does_not_crash(answer: Answer) -> None:
    for task in PREPARED[:4]:
        assert task.judge(answer("[" * 100_000)).rejection is Rejection.MALFORMED
