"""What `build` returns -> the body that is sent, for every endpoint."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.request import Endpoint
from nightmail.errors import TaskError
from nightmail.tasks.base import Task
from nightmail.tasks.images import image
from nightmail.tasks.prepared import PreparedTask
from nightmail.tasks.template import json_string

SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["a", "b"]}},
    "required": ["label"],
    "additionalProperties": False,
}


class Echo(Task):
    """Sends what the record says."""

    model = "gpt-4o-mini"

    def build(self, record: Any) -> Any:
        return record


def prepared(model: str | None = None, **attributes: Any) -> PreparedTask:
    return PreparedTask(type("Echo", (Echo,), attributes), model=model)


def body(task: PreparedTask, record: Any) -> Any:
    return json.loads(task.request(record).body)


def test_a_text_becomes_the_users_message_after_the_system_message() -> None:
    task = prepared(system="Be brief.", max_output_tokens=50, parameters={"temperature": 0})

    assert body(task, "hello") == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
        "temperature": 0,
        "max_completion_tokens": 50,
    }


def test_labels_are_asked_for_as_a_strict_schema() -> None:
    wanted = {"name": "Label", "schema": SCHEMA, "strict": True}

    chat = body(prepared(output=Literal["a", "b"]), "hello")
    responses = body(prepared(output=Literal["a", "b"], endpoint="responses"), "hello")

    assert chat["response_format"] == {"type": "json_schema", "json_schema": wanted}
    assert responses["text"] == {"format": {"type": "json_schema", **wanted}}


def test_responses_have_instructions_an_input_and_their_own_cap() -> None:
    task = prepared(endpoint="responses", system="Be brief.", max_output_tokens=50)

    assert body(task, "hello") == {
        "model": "gpt-4o-mini",
        "instructions": "Be brief.",
        "input": "hello",
        "max_output_tokens": 50,
    }


def test_a_responses_text_parameter_keeps_its_fields_beside_the_format() -> None:
    task = prepared(endpoint="responses", output=Literal["a"], parameters={"text": {"verbosity": "low"}})

    assert body(task, "x")["text"].keys() == {"verbosity", "format"}


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("embeddings", {"model": "gpt-4o-mini", "input": "hello"}),
        ("completions", {"model": "gpt-4o-mini", "prompt": "hello"}),
        ("moderations", {"model": "gpt-4o-mini", "input": "hello"}),
        ("/v1/moderations", {"model": "gpt-4o-mini", "input": "hello"}),
        (Endpoint.EMBEDDINGS, {"model": "gpt-4o-mini", "input": "hello"}),
    ],
)
def test_a_text_is_the_input_elsewhere(endpoint: str, expected: dict[str, Any]) -> None:
    assert body(prepared(endpoint=endpoint), "hello") == expected


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_draft_is_its_templates_frame_around_the_text(text: str) -> None:
    draft = TEMPLATED.request(text)

    assert draft.template is TEMPLATED.request("other").template
    assert draft.template is not None
    assert draft.text == text
    assert draft.body == draft.template.prefix + json_string(text) + draft.template.suffix
    with_text = json.loads(draft.body)
    assert with_text["messages"].pop() == {"role": "user", "content": text}
    without_text = {**draft.template.body_without_text}
    without_text["messages"] = without_text["messages"][:-1]
    assert with_text == without_text


# The fixed part holds what could be mistaken for the place of the text.
TEMPLATED = prepared(system='"@text@" @text@@', output=Literal["a", "@text@"], parameters={"user": "@text@"})


def test_a_message_list_is_sent_without_a_template() -> None:
    messages = [{"role": "system", "content": "Mine."}, {"role": "user", "content": "hello\u2028"}]
    draft = prepared(system="Be brief.").request(messages)

    assert (draft.template, draft.text) == (None, None)
    assert json.loads(draft.body)["messages"] == messages
    assert b"\\u2028" in draft.body


def test_a_message_list_without_a_system_message_gets_the_tasks() -> None:
    sent = body(prepared(system="Be brief."), [{"role": "user", "content": "hello"}])

    assert [message["role"] for message in sent["messages"]] == ["system", "user"]


def test_texts_and_images_without_roles_are_one_message() -> None:
    picture = image("https://example.com/cat.png", detail="low")

    chat = body(prepared(), ["What is it?", picture])
    responses = body(prepared(endpoint="responses"), ["What is it?", picture])

    assert chat["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}
    ]
    assert responses["input"] == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is it?"},
                {"type": "input_image", "image_url": "https://example.com/cat.png", "detail": "low"},
            ],
        }
    ]


def test_chat_parts_inside_messages_are_translated_for_responses() -> None:
    parts = [{"type": "text", "text": "x"}, image("https://example.com/cat.png")]
    answer = {"role": "assistant", "content": [{"type": "output_text", "text": "y"}]}
    call = {"type": "function_call_output", "call_id": "1", "output": "3"}
    sent = body(prepared(endpoint="responses"), [{"role": "user", "content": parts}, answer, call])

    assert [part["type"] for part in sent["input"][0]["content"]] == ["input_text", "input_image"]
    assert sent["input"][1:] == [answer, call]


def test_a_dict_is_the_whole_body_with_only_the_missing_filled_in() -> None:
    task = prepared(output=Literal["a"], system="Be brief.", max_output_tokens=9, parameters={"seed": 1})
    sent = body(task, {"messages": [{"role": "user", "content": "x"}], "seed": 2, "max_tokens": 5})

    assert sent["model"] == "gpt-4o-mini"
    assert sent["seed"] == 2
    assert sent["max_tokens"] == 5
    assert "max_completion_tokens" not in sent
    assert sent["response_format"]["type"] == "json_schema"
    assert sent["messages"] == [{"role": "user", "content": "x"}]


def test_a_format_of_ones_own_is_left_alone() -> None:
    task = prepared(output=Literal["a"], parameters={"response_format": {"type": "json_object"}})

    assert body(task, "x")["response_format"] == {"type": "json_object"}


def test_the_users_dict_is_not_changed() -> None:
    given = {"messages": [{"role": "user", "content": "x"}]}
    prepared(output=Literal["a"], parameters={"seed": 1}).request(given)

    assert given == {"messages": [{"role": "user", "content": "x"}]}


def test_a_record_may_choose_its_model() -> None:
    class Routed(Echo):
        def model_for(self, record: Any) -> str:
            return "gpt-4o" if len(record) > 3 else "gpt-4o-mini"

    task = PreparedTask(Routed)
    short, long = task.request("abc"), task.request("abcdef")
    whole = task.request({"model": "o3", "messages": []})

    assert (short.model, long.model, whole.model) == ("gpt-4o-mini", "gpt-4o", "o3")
    assert json.loads(long.body)["model"] == "gpt-4o"
    assert PreparedTask(Routed, model="gpt-5").request("abcdef").model == "gpt-5"


def test_a_model_given_from_outside_is_used_for_everything() -> None:
    task = prepared(model="gpt-5")

    assert task.request("x").model == "gpt-5"
    assert body(task, {"model": "o3", "messages": []})["model"] == "gpt-5"


def test_a_model_that_is_no_name_is_an_error() -> None:
    class Routed(Echo):
        def model_for(self, record: Any) -> str:
            return ""

    with pytest.raises(TaskError, match="instead of a model's name"):
        PreparedTask(Routed).request("abc")


def test_several_texts_are_embedded_where_the_output_is_a_list() -> None:
    several = prepared(endpoint="embeddings", output=list)

    assert body(several, ["a", "b"])["input"] == ["a", "b"]
    assert body(several, "a")["input"] == ["a"]
    assert body(prepared(endpoint="embeddings"), ["a"])["input"] == "a"
    with pytest.raises(TaskError, match=r"2 texts.*output = list"):
        prepared(endpoint="embeddings").request(["a", "b"])


@pytest.mark.parametrize("record", ["", ["a", ""]])
def test_an_empty_text_is_not_sent_to_be_embedded(record: Any) -> None:
    with pytest.raises(ValueError, match="at least one character"):
        prepared(endpoint="embeddings", output=list).request(record)


def test_parts_to_moderate_are_one_input() -> None:
    sent = body(prepared(endpoint="moderations"), ["a", image("https://example.com/cat.png")])

    assert [part["type"] for part in sent["input"]] == ["text", "image_url"]


@pytest.mark.parametrize(
    ("endpoint", "record", "message"),
    [
        ("chat", None, r"returned nothing \(None\)"),
        ("chat", 3, "returned a int"),
        ("chat", {"text": "x"}, "without 'messages'"),
        ("chat", ["x", {"role": "user", "content": "y"}], "every item a message, or none"),
        ("chat", {"messages": [{"content": object()}]}, "cannot be written as JSON"),
        ("responses", {"messages": []}, "without 'input'"),
        ("completions", ["x"], "return the prompt as a text"),
        ("embeddings", [1], "embeddings take texts"),
    ],
)
def test_what_cannot_be_a_request_says_why(endpoint: str, record: Any, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        prepared(endpoint=endpoint).request(record)


def test_an_empty_list_and_a_broken_text_are_the_records_fault() -> None:
    with pytest.raises(ValueError, match="nothing to ask"):
        prepared().request([])
    with pytest.raises(ValueError, match="surrogate"):
        prepared().request("\ud800")


def test_what_build_raises_goes_through_unchanged() -> None:
    class Broken(Echo):
        def build(self, record: Any) -> str:
            return str(record["missing"])

    with pytest.raises(KeyError, match="missing"):
        PreparedTask(Broken).request({})
