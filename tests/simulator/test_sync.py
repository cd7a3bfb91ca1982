"""The endpoints that answer at once, through the official client's own helpers."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from nightmail.core.request import Endpoint
from nightmail.simulator.rates import Rates, duration
from nightmail.simulator.refusal import Refusal
from nightmail.tokens.counter import counter_for

TEXT = "A library to open a socket on the network. It reads bytes."


class Section(BaseModel):
    section: Literal["files", "network", "games"]
    why: str


def user(text: str = TEXT) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_chat_parses_into_a_model(customer: Any) -> None:
    reply = customer.api.chat.completions.parse(model="gpt-4o-mini", messages=user(), response_format=Section)

    assert reply.choices[0].message.parsed == Section(
        section="network", why="A library to open a socket on the network."
    )
    assert reply.model == "gpt-4o-mini-2024-07-18"
    assert reply.system_fingerprint == "simulated"


def test_responses_parses_into_a_model(customer: Any) -> None:
    reply = customer.api.responses.parse(model="gpt-4.1", input=TEXT, text_format=Section)

    assert reply.output_parsed == Section(section="network", why="A library to open a socket on the network.")
    assert (reply.status, reply.model) == ("completed", "gpt-4.1-2025-04-14")


def test_usage_is_what_our_counter_counts(customer: Any) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "system", "content": "Be brief."}, *user()]}
    counter = counter_for("gpt-4o-mini")

    reply = customer.api.chat.completions.create(**body)

    assert reply.usage.prompt_tokens == counter.body(Endpoint.CHAT, body)
    assert reply.usage.completion_tokens == counter.text(reply.choices[0].message.content)
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_an_answer_is_cut_at_the_output_cap(customer: Any) -> None:
    chat = customer.api.chat.completions.create(model="gpt-4o", messages=user(), max_completion_tokens=3)
    responses = customer.api.responses.create(model="gpt-4o", input=TEXT, max_output_tokens=3)

    assert chat.choices[0].finish_reason == "length"
    assert chat.usage.completion_tokens == 3
    assert TEXT.startswith(chat.choices[0].message.content)
    assert (responses.status, responses.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert responses.output_text == chat.choices[0].message.content


def test_several_messages_and_parts_are_read(customer: Any) -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Play chess."}]},
        {"role": "assistant", "content": "{}"},
        {"role": "user", "content": "That was no answer."},
    ]

    reply = customer.api.chat.completions.create(model="gpt-4o", messages=messages, n=2)

    assert [choice.index for choice in reply.choices] == [0, 1]
    assert "Play chess." in reply.choices[0].message.content


def test_json_mode_gives_an_object(customer: Any) -> None:
    reply = customer.api.chat.completions.create(
        model="gpt-4o", messages=user(), response_format={"type": "json_object"}
    )

    assert isinstance(json.loads(reply.choices[0].message.content), dict)


def test_embeddings_are_unit_vectors_that_tell_texts_apart(customer: Any) -> None:
    texts = ["open a network socket", "a socket on the network", "chess games"]

    reply = customer.api.embeddings.create(model="text-embedding-3-small", input=texts)

    first, second, third = (one.embedding for one in reply.data)
    assert len(first) == 1536
    assert math.isclose(math.fsum(value * value for value in first), 1.0, rel_tol=1e-6)
    near = sum(a * b for a, b in zip(first, second, strict=True))
    far = sum(a * b for a, b in zip(first, third, strict=True))
    assert near > far
    assert reply.usage.prompt_tokens == sum(
        counter_for("text-embedding-3-small").text(text) for text in texts
    )


def test_both_encodings_of_an_embedding_hold_the_same_numbers(customer: Any) -> None:
    asked: Any = {"model": "text-embedding-3-large", "input": TEXT, "dimensions": 64}

    as_default = customer.api.embeddings.create(**asked).data[0].embedding
    as_float = customer.api.embeddings.create(**asked, encoding_format="float").data[0].embedding
    as_base64 = customer.api.embeddings.create(**asked, encoding_format="base64").data[0].embedding

    assert len(as_float) == 64
    assert list(as_default) == as_float
    assert isinstance(as_base64, str)


def test_moderations_flag_by_words(customer: Any) -> None:
    clean, foul = customer.api.moderations.create(input=["good morning", "I will kill you"]).results

    assert not clean.flagged
    assert foul.flagged
    assert foul.categories.violence
    assert not foul.categories.sexual


def test_completions_answer_each_prompt(customer: Any) -> None:
    reply = customer.api.completions.create(model="davinci-002", prompt=["One. Two.", "Three."])

    assert [(choice.index, choice.text) for choice in reply.choices] == [(0, "One. Two."), (1, "Three.")]


def test_models_are_listed(customer: Any) -> None:
    names = {model.id for model in customer.api.models.list()}

    assert {"gpt-4o-mini", "gpt-4o-mini-2024-07-18", "text-embedding-3-small"} <= names
    assert customer.api.models.retrieve("gpt-4o").id == "gpt-4o"


def test_the_same_request_has_the_same_answer_in_a_batch_and_at_once(customer: Any, shapes: Any) -> None:
    at_once = customer.api.chat.completions.create(model="gpt-4o-mini", messages=user())

    batch = customer.run(shapes.line(1, messages=user()))

    (row,) = customer.rows(batch.output_file_id)
    assert shapes.content_of(row) == at_once.choices[0].message.content
    assert row["response"]["body"]["usage"]["prompt_tokens"] == at_once.usage.prompt_tokens


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/responses", {"model": "gpt-4o", "input": "Hello. There."}),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 8}),
        ("/v1/completions", {"model": "davinci-002", "prompt": "Hello."}),
        ("/v1/moderations", {"input": "Hello."}),
    ],
)
def test_every_endpoint_has_batches(customer: Any, endpoint: str, body: dict[str, Any]) -> None:
    content = json.dumps({"custom_id": "x", "method": "POST", "url": endpoint, "body": body}).encode()

    batch = customer.run(content, endpoint)

    (row,) = customer.rows(batch.output_file_id)
    assert row["response"]["status_code"] == 200
    at_once = customer.api.post(endpoint.removeprefix("/v1"), body=body, cast_to=object)
    for left_out in ("id", "created", "created_at", "output"):
        row["response"]["body"].pop(left_out, None)
        at_once.pop(left_out, None)
    assert row["response"]["body"] == at_once


def test_calls_are_booked(customer: Any) -> None:
    def booked() -> dict[str, int]:
        found = customer.simulator.get("/_simulator/books")["calls"].get("gpt-5-nano", {})
        return {name: found.get(name, 0) for name in ("calls", "input_tokens", "output_tokens")}

    before = booked()
    used = customer.api.chat.completions.create(model="gpt-5-nano", messages=user()).usage

    assert booked() == {
        "calls": before["calls"] + 1,
        "input_tokens": before["input_tokens"] + used.prompt_tokens,
        "output_tokens": before["output_tokens"] + used.completion_tokens,
    }


def test_rate_limits_are_told_and_kept(own: Any) -> None:
    customer = own("--requests-per-minute", "3")

    def ask(_: int) -> int:
        raw = customer.api.chat.completions.with_raw_response
        try:
            return int(raw.create(model="gpt-4o", messages=user()).headers["x-ratelimit-remaining-requests"])
        except openai.RateLimitError as error:
            told = (
                error.code == "rate_limit_exceeded" and 0 < int(error.response.headers["retry-after"]) <= 20
            )
            return -1 if told else -100

    with ThreadPoolExecutor(4) as threads:
        left = list(threads.map(ask, range(8)))

    assert sorted(left)[-3:] == [0, 1, 2]
    assert left.count(-1) == 5


def test_rates_fill_again_with_time() -> None:
    rates = Rates(60, 1_000)
    for second in range(60):
        rates.take("m", 1, 0.0 + second * 1e-9)
    with pytest.raises(Refusal):
        rates.take("m", 1, 0.1)

    assert rates.take("m", 1, 1.5)["x-ratelimit-limit-requests"] == "60"


@pytest.mark.parametrize(("seconds", "text"), [(0.012, "12ms"), (1.5, "1.5s"), (360, "6m0s")])
def test_durations_read_as_the_provider_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_streaming_is_refused(customer: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="Streaming"):
        customer.api.chat.completions.create(model="gpt-4o", messages=user(), stream=True)
