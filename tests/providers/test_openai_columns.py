"""Answers read many at a time are what they are read one by one, and nothing else is taken for one."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.request import Endpoint
from nightmail.core.result import Finish, Response
from nightmail.core.usage import Usage
from nightmail.providers.openai.columns import read_answers
from nightmail.providers.openai.lines import read_result

GONE = object()
USAGE = {"prompt_tokens": 242, "completion_tokens": 17, "prompt_tokens_details": {"cached_tokens": 128}}


def line(**changes: Any) -> bytes:
    """The line of a complete answer, with some of its fields others, or gone."""
    message = {"role": "assistant", "content": "yes", "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {"model": "gpt-4o-mini-2024-07-18", "choices": [choice], "usage": USAGE, "service_tier": "default"}
    row = {
        "custom_id": "run_7",
        "response": {"status_code": 200, "request_id": "r", "body": body},
        "error": None,
    }
    if "tool_calls" in changes:
        message["tool_calls"] = None
    return changed(row, [message, choice, body, row["response"], row], changes)


def changed(row: dict[str, Any], places: list[Any], changes: dict[str, Any]) -> bytes:
    """The row as a line, the changes made wherever their names are."""
    for place in places:
        for name in changes.keys() & place.keys():
            place[name] = changes[name]
            if changes[name] is GONE:
                del place[name]
    return json.dumps(row, ensure_ascii=False).encode()


VALUES = {
    "content": ["", "naïve\u2028text", [{"type": "text", "text": "yes"}]],
    "refusal": ["no", "", GONE],
    "tool_calls": [[], [{"id": "call_1"}]],
    "finish_reason": ["length", "content_filter", None, "tool_calls"],
    "choices": [[], None, [{"message": {"content": "a"}}, {"message": {"content": "b"}}]],
    "model": [None, GONE, ""],
    "usage": [
        None, GONE, {}, {"input_tokens": 3, "output_tokens": 4}, {"prompt_tokens": 0, "completion_tokens": 4},
        USAGE | {"input_tokens": 9}, USAGE | {"completion_tokens_details": {"reasoning_tokens": 5}},
        USAGE | {"prompt_tokens_details": None, "input_tokens_details": {"cached_tokens": 3}},
        USAGE | {"prompt_tokens_details": {"cached_tokens": None}, "completion_tokens_details": None},
    ],
    "service_tier": ["flex", None, GONE],
    "status_code": [201, 400, 500, 0],
    "custom_id": [None, GONE, "", 7],
    "error": [{"code": "batch_expired"}, {}, ""],
    "body": [None, "not JSON", {"error": {"message": "bad"}}],
    "response": [None, GONE],
}  # fmt: skip
CHANGES = st.fixed_dictionaries({}, optional={name: st.sampled_from(of) for name, of in VALUES.items()})
LINES = st.builds(lambda changes: line(**changes), CHANGES) | st.sampled_from([b"{", b"\xff", b"[]", b"null"])


@given(st.lists(LINES, max_size=6))
def test_what_is_read_at_once_is_what_each_line_says(lines: list[bytes]) -> None:
    answers = read_answers(lines, Endpoint.CHAT)

    assert answers is not None
    for at, text in enumerate(answers.contents):
        if text is None:
            continue
        result = read_result(lines[at], Endpoint.CHAT)
        assert (result.custom_id, result.status) == (answers.custom_ids[at], None)
        response = result.response
        assert response is not None
        assert response == Response(
            model=answers.models[at],
            whole=response.whole,
            text=text,
            finish=Finish.COMPLETE,
            usage=Usage(*(counts[at] for counts in answers.usages)),
            tier=answers.tiers[at],
        )


def vectors(*embeddings: Any, **changes: Any) -> bytes:
    """The line of embeddings, with some of its fields others, or gone."""
    data = [{"object": "embedding", "index": at, "embedding": each} for at, each in enumerate(embeddings)]
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    body = {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}
    row = {"custom_id": "run_7", "response": {"status_code": 200, "body": body}, "error": None}
    return changed(row, [*data, body, row["response"], row], changes)


OF_VECTORS = {
    "index": [GONE, None, 7, "0"],
    "data": [[], None, [{"embedding": [1.0], "index": 1}, {"embedding": [2.0], "index": 0}], GONE],
    "model": [None, GONE, "", '"embedding":[7]'],
    "usage": [
        None, GONE, {}, {"prompt_tokens": 0}, {"prompt_tokens": 3, "completion_tokens": 0},
        {"prompt_tokens": 3, "completion_tokens": 2}, {"input_tokens": 4},
        {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}},
    ],
    **{name: VALUES[name] for name in ("status_code", "custom_id", "error", "body", "response")},
}  # fmt: skip
NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 2**70), max_size=3)
EMBEDDINGS = NUMBERS | st.sampled_from(["AAAAPwAAgL4=", "not base64", "A", 7, None, [None], [[1.0]], ["1"]])
VECTORS = st.builds(
    lambda embeddings, changes: vectors(*embeddings, **changes),
    st.lists(EMBEDDINGS, min_size=1, max_size=3),
    st.fixed_dictionaries({}, optional={name: st.sampled_from(of) for name, of in OF_VECTORS.items()}),
)
ODD = [b"{", b"\xff", b"[]", b'"embedding":', b'"embedding":[', b'"embedding":[]', b'{"embedding":"']


@given(st.lists(VECTORS | st.sampled_from(ODD), max_size=5))
def test_vectors_read_at_once_are_what_each_line_says(lines: list[bytes]) -> None:
    answers = read_answers(lines, Endpoint.EMBEDDINGS)

    assert answers is not None
    for at, found in enumerate(answers.contents):
        if found is None:
            continue
        result = read_result(lines[at], Endpoint.EMBEDDINGS)
        response = result.response
        assert response is not None
        assert response.vectors is not None
        assert [list(each) for each in found] == [list(each) for each in response.vectors]
        assert (result.custom_id, response.model) == (answers.custom_ids[at], answers.models[at])
        assert response.usage == Usage(*(counts[at] for counts in answers.usages))
        assert (response.finish, response.refusal, response.tier) == (Finish.COMPLETE, None, None)
        assert answers.tiers[at] is None


def test_documented_vectors_are_read_at_once_among_whatever_else() -> None:
    lines = [b"no JSON", vectors([0.5, 2]), vectors([1.0], status_code=500), vectors("AAAAPwAAgL4=", [3.0])]

    answers = read_answers(lines, Endpoint.EMBEDDINGS)

    assert answers is not None
    read = [found and [list(each) for each in found] for found in answers.contents]
    assert read == [None, [[0.5, 2.0]], None, [[0.5, -0.25], [3.0]]]
    assert answers.custom_ids[1] == "run_7"
    assert [counts[1] for counts in answers.usages] == [8, 0, 0, 0]


def test_a_documented_answer_is_read_at_once_among_whatever_else() -> None:
    for changes in ({}, {"refusal": GONE}, {"tool_calls": []}, {"service_tier": GONE}, {"error": GONE}):
        answers = read_answers([b"no JSON", line(**changes), line(finish_reason="length")], Endpoint.CHAT)

        assert answers is not None
        assert answers.contents == [None, "yes", None]
        assert [counts[1] for counts in answers.usages] == [242, 17, 128, 0]


def test_other_endpoints_have_no_faster_way() -> None:
    assert read_answers([line()], Endpoint.RESPONSES) is None
