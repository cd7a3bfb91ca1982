"""A task's definition: what is read from it, and which mistakes are found before anything is sent."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from nightmail.core.request import Endpoint
from nightmail.core.result import Rejection
from nightmail.errors import Rejected, TaskError
from nightmail.tasks.base import RejectedAnswer, Task
from nightmail.tasks.prepared import PreparedTask


class Plain(Task):
    """Says something.

    At length.
    """

    model = "gpt-4o-mini"

    def build(self, record: Any) -> Any:
        return str(record)


def subclass(**attributes: Any) -> type[Task]:
    return type("Mine", (Plain,), attributes)


def test_a_prepared_task_knows_its_names() -> None:
    task = PreparedTask(Plain())

    assert (task.name, task.description, task.endpoint) == ("Plain", "Says something.", Endpoint.CHAT)
    assert (task.schema, task.output_name) == (None, None)
    assert PreparedTask(subclass()).description == ""


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (3, "3 is not a nightmail.Task"),
        (dict, "is not a nightmail.Task"),
        (type("NoBuild", (Task,), {"model": "m"}), r"NoBuild has no `build\(self, record\)`"),
        (subclass(model=""), "Mine names no model.*--model"),
        (subclass(endpoint="chats"), "endpoint is 'chats'; it is one of chat, responses"),
        (subclass(on_oversize="cut"), '"fail" or "truncate"'),
        (subclass(on_refusal="again"), '"fail" or "retry"'),
        (subclass(parameters=["x"]), "parameters is a list"),
        (subclass(parameters={"stream": True}), "batches do not stream"),
        (subclass(parameters={"messages": []}), "`build` decides"),
        (subclass(parameters={"model": "x"}), "attribute `model` decides"),
        (subclass(parameters={"x": object()}), "cannot be written as JSON"),
        (subclass(system="\ud800"), "fixed part of the request.*surrogate"),
        (subclass(endpoint="embeddings", system="x"), "no system message"),
        (subclass(endpoint="embeddings", max_output_tokens=5), "have no length"),
        (subclass(max_output_tokens=0), "it is a number of tokens"),
        (subclass(endpoint="embeddings", output=str), "`list`"),
        (subclass(endpoint="moderations", output=str), "a moderations task has no `output`"),
        (subclass(output=object()), "cannot be described to a model"),
        (subclass(output={"type": "object", "properties": {"a": {}}}), r"output\.a: any value"),
        (type("Needy", (Plain,), {"__init__": lambda self, x: None}), r"Needy\(\) raised TypeError"),
    ],
)
def test_a_mistake_in_the_definition_is_named(task: Any, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        PreparedTask(task)


def test_a_model_from_outside_makes_up_for_a_missing_one() -> None:
    assert PreparedTask(subclass(model=""), model="o3").request(1).model == "o3"


def test_records_are_needed_only_by_what_sees_them() -> None:
    def method(self: Any, *args: Any) -> None: ...

    assert not PreparedTask(Plain).needs_record
    assert PreparedTask(subclass(check=method)).needs_record
    assert PreparedTask(subclass(repair=method)).needs_record
    prepared = PreparedTask(subclass(on_output=method))
    assert prepared.needs_record
    assert prepared.calls_on_output
    assert not PreparedTask(subclass(check=method)).calls_on_output


def test_a_check_complains_in_its_own_words() -> None:
    class Checked(Plain):
        def check(self, output: Any, record: Any) -> None:
            if output == "bad":
                raise Rejected("give a better one")
            if output == "worse":
                raise Rejected
            _ = record["x"]

    task = PreparedTask(Checked)

    assert task.check("good", {"x": 1}) is None
    assert task.check("bad", {}) == "give a better one"
    assert task.check("worse", {}) == "rejected by check"
    assert task.check("good", {}) == "check raised KeyError: 'x'"
    assert PreparedTask(Plain).check("anything", None) is None


ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "q"}], "max_completion_tokens": 10}


def repaired(task: PreparedTask, reason: Rejection, request: Any = ASKED, **changes: Any) -> Any:
    body = json.dumps(request).encode()
    given = {"answer": "bad", "complaint": "too\u2028short", "record": {"id": 1}, **changes}
    return json.loads(task.repaired(body, reason=reason, **given))


def test_a_truncated_answer_is_asked_for_again_with_only_a_larger_cap() -> None:
    again = repaired(PreparedTask(Plain), Rejection.TRUNCATED, max_output_tokens=20)

    assert again == {**ASKED, "max_completion_tokens": 20}


def test_a_repair_is_the_conversation_the_bad_answer_and_the_complaint() -> None:
    again = repaired(PreparedTask(Plain), Rejection.SCHEMA)

    assert again["messages"][:2] == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "bad"},
    ]
    assert "too\u2028short" in again["messages"][2]["content"]
    assert again["max_completion_tokens"] == 10


def test_an_answer_without_text_leaves_only_the_complaint() -> None:
    again = repaired(PreparedTask(Plain), Rejection.MALFORMED, answer=None)

    assert [message["role"] for message in again["messages"]] == ["user", "user"]


def test_a_repair_of_responses_turns_the_input_into_a_conversation() -> None:
    task = PreparedTask(subclass(endpoint="responses"))
    again = repaired(task, Rejection.CHECK, {"model": "m", "input": "q"})

    assert [item["role"] for item in again["input"]] == ["user", "assistant", "user"]


def test_a_repair_of_completions_goes_on_in_the_prompt() -> None:
    task = PreparedTask(subclass(endpoint="completions"))
    again = repaired(task, Rejection.CHECK, {"model": "m", "prompt": "q"})

    assert again["prompt"].startswith("qbad\n\nYour answer was not accepted: too\u2028short")


@pytest.mark.parametrize("endpoint", ["embeddings", "moderations"])
def test_what_has_no_conversation_is_asked_again_as_it_was(endpoint: str) -> None:
    task = PreparedTask(subclass(endpoint=endpoint))

    assert repaired(task, Rejection.MALFORMED, {"model": "m", "input": "q"}) == {"model": "m", "input": "q"}


def test_a_repair_of_ones_own_sees_the_rejection_and_the_record() -> None:
    class Mine(Plain):
        def repair(self, request: dict[str, Any], rejection: RejectedAnswer) -> dict[str, Any]:
            return {**request, "seen": [rejection.answer, rejection.reason, rejection.record]}

    again = repaired(PreparedTask(Mine), Rejection.CHECK)
    untouched = repaired(PreparedTask(Mine), Rejection.TRUNCATED)

    assert again["seen"] == ["bad", "check", {"id": 1}]
    assert untouched == ASKED


def test_a_repair_that_returns_no_body_is_an_error() -> None:
    with pytest.raises(TaskError, match="repair returned a NoneType"):
        repaired(PreparedTask(subclass(repair=lambda self, request, rejection: None)), Rejection.CHECK)


def test_another_model_gets_the_schema_as_it_takes_it() -> None:
    output = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 1}},
        "required": ["n"],
    }
    task = PreparedTask(subclass(output=output))
    asked = json.loads(task.request("q").body)
    tuned = repaired(task, Rejection.CHECK, asked, model="ft:gpt-4o-mini:me")
    same = repaired(task, Rejection.CHECK, asked, model="gpt-4o")

    field = tuned["response_format"]["json_schema"]["schema"]["properties"]["n"]
    assert field == {"type": "integer", "description": "(minimum 1)"}
    assert (tuned["model"], same["model"]) == ("ft:gpt-4o-mini:me", "gpt-4o")
    assert same["response_format"] == asked["response_format"]


def test_another_model_of_responses_gets_its_schema_too() -> None:
    output = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    task = PreparedTask(
        subclass(output=output, endpoint="responses", parameters={"text": {"verbosity": "low"}})
    )
    tuned = repaired(task, Rejection.CHECK, json.loads(task.request("q").body), model="ft:gpt-4o-mini:me")

    assert tuned["text"]["verbosity"] == "low"
    assert "minimum" not in tuned["text"]["format"]["schema"]["properties"]["n"]


def test_the_cap_is_read_and_raised_under_the_name_that_the_body_uses() -> None:
    task = PreparedTask(Plain)

    assert task.capped(b'{"max_tokens": 7}') == 7
    assert task.capped(b'{"max_completion_tokens": 8}') == 8
    assert task.capped(b'{"max_output_tokens": 9}') == 9
    assert task.capped(b'{"messages": []}') is None
    bigger = repaired(task, Rejection.TRUNCATED, {"messages": [], "max_tokens": 7}, max_output_tokens=14)
    assert bigger == {"messages": [], "max_tokens": 14}
    added = repaired(task, Rejection.TRUNCATED, {"messages": []}, max_output_tokens=14)
    assert added == {"messages": [], "max_completion_tokens": 14}


def truncated(body: Any, over: int, endpoint: str = "chat") -> Any:
    shorter = PreparedTask(subclass(endpoint=endpoint)).truncate(json.dumps(body).encode(), over)
    return None if shorter is None else json.loads(shorter)


def test_the_longest_user_text_loses_its_end() -> None:
    words = "word " * 1000
    parts = [{"type": "text", "text": words}, {"type": "image_url", "image_url": {"url": "x" * 9999}}]
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": words * 2},
            {"role": "user", "content": "short"},
            {"role": "user", "content": parts},
        ],
    }
    shorter = truncated(body, 100)

    kept = shorter["messages"][2]["content"][0]["text"]
    assert words.startswith(kept)
    assert 4300 < len(kept) < 4700
    assert kept.endswith("word")
    shorter["messages"][2]["content"][0]["text"] = words
    assert shorter == body


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("responses", {"input": "x" * 1000}),
        ("embeddings", {"input": ["y", "x" * 1000]}),
        ("completions", {"prompt": "x" * 1000}),
        ("moderations", {"input": [{"type": "text", "text": "x" * 1000}]}),
    ],
)
def test_every_endpoints_text_can_be_cut(endpoint: str, body: Any) -> None:
    assert len(json.dumps(truncated(body, 20, endpoint))) == pytest.approx(
        len(json.dumps(body)) - 112, abs=60
    )


@pytest.mark.parametrize(
    "body", [{"messages": [{"role": "system", "content": "x" * 500}]}, {"messages": []}, {}]
)
def test_a_body_without_a_users_text_cannot_be_cut(body: Any) -> None:
    assert truncated(body, 10) is None


@pytest.mark.parametrize("text", ["x" * 5000, "试" * 5000, "a b " * 900])
def test_cutting_again_and_again_comes_to_an_end(text: str) -> None:
    body: Any = {"messages": [{"role": "user", "content": text}]}
    for _ in range(40):
        shorter = truncated(body, 2000)
        if shorter is None:
            break
        assert len(shorter["messages"][0]["content"]) < len(body["messages"][0]["content"])
        body = shorter
    else:
        pytest.fail("never gives up")


def test_labels_are_a_column_named_output() -> None:
    task = PreparedTask(subclass(output=Literal["a", "b"]))

    assert task.rows(["a"]) == [{"output": "a"}]
    schema = task.arrow_schema()
    assert schema is not None
    assert schema.names == ["output"]


def test_a_parse_of_ones_own_has_the_columns_that_it_declares() -> None:
    class Counted(Plain):
        output = Literal["a", "b"]

        def parse(self, response: Any) -> dict[str, Any]:
            return {"length": len(response.text)}

    class Declared(Plain):
        def parse(self, response: Any) -> Literal["x", "y"]:
            return "x"

    class Texts(Plain):
        def parse(self, response: Any) -> str:
            return "x"

    class Hidden(Plain):
        def parse(self, response: Any) -> Missing:  # type: ignore[name-defined]  # noqa: F821
            return 3

    assert PreparedTask(Counted).arrow_schema() is None
    assert PreparedTask(Counted).rows([{"length": 3}]) == [{"length": 3}]
    assert PreparedTask(Counted).rows([3]) == [{"output": 3}]
    assert PreparedTask(Hidden).arrow_schema() is None
    for declared in (Declared, Texts):
        schema = PreparedTask(declared).arrow_schema()
        assert schema is not None
        assert schema.names == ["output"]
