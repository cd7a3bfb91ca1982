"""The adapter's reading of every shape in `openai/`, row by row."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from nightmail.core.batch import Phase
from nightmail.core.request import Endpoint
from nightmail.core.result import Finish, Outcome, Result
from nightmail.core.usage import NO_USAGE, Usage
from nightmail.providers.base import BatchError, RemoteBatch
from nightmail.providers.openai.lines import read_result
from nightmail.providers.openai.wire import read_batch

FOLDER = Path(__file__).parent / "openai"


def results(name: str, endpoint: Endpoint) -> dict[str | None, Result]:
    lines = (FOLDER / name).read_bytes().split(b"\n")
    read = [read_result(line, endpoint) for line in lines if line]
    assert len({result.custom_id for result in read}) == len(read)
    return {result.custom_id: result for result in read}


CHAT = results("chat_output.jsonl", Endpoint.CHAT)
ERRORS = results("error_file.jsonl", Endpoint.CHAT)
FOREIGN = results("foreign.jsonl", Endpoint.CHAT)
RESPONSES = results("responses_output.jsonl", Endpoint.RESPONSES)
EMBEDDINGS = results("embeddings_output.jsonl", Endpoint.EMBEDDINGS)


@pytest.mark.parametrize(
    ("name", "text", "refusal", "finish"),
    [
        ("ok", '{"section":"games"}', None, Finish.COMPLETE),
        ("separators", "one\u2028two\u2029three\u0085four", None, Finish.COMPLETE),
        ("refused", None, "I'm sorry, I can't help with that.", Finish.COMPLETE),
        ("cut", '{"section":"ga', None, Finish.TRUNCATED),
        ("cut_before_a_word", "", None, Finish.TRUNCATED),
        ("filtered", None, None, Finish.FILTERED),
        ("tools_only", None, None, Finish.COMPLETE),
        ("parts", "two parts", None, Finish.COMPLETE),
        ("no_usage", "x", None, Finish.COMPLETE),
        ("no_choices", None, None, Finish.COMPLETE),
    ],
)
def test_a_chat_answer_is_read(name: str, text: str | None, refusal: str | None, finish: Finish) -> None:
    result = CHAT[name]
    assert result.outcome is Outcome.SUCCEEDED
    assert result.response is not None
    assert (result.response.text, result.response.refusal, result.response.finish) == (text, refusal, finish)
    assert result.response.model == "gpt-4o-mini-2024-07-18"
    assert result.response.body["object"] == "chat.completion"
    assert result.response.usage == (NO_USAGE if name == "no_usage" else Usage(24, 15, 8, 4))


@pytest.mark.parametrize(
    ("name", "outcome", "status", "code", "words"),
    [
        ("expired", Outcome.EXPIRED, None, "batch_expired", "completion window"),
        ("cancelled", Outcome.CANCELLED, None, "batch_cancelled", "cancelled"),
        ("timeout", Outcome.ERRORED, None, "request_timeout", "timed out"),
        ("too_long", Outcome.ERRORED, 400, "context_length_exceeded", "128000 tokens"),
        ("bad_format", Outcome.ERRORED, 400, "invalid_value", "json_schema"),
        ("too_fast", Outcome.ERRORED, 429, "rate_limit_exceeded", "request/min"),
        ("server", Outcome.ERRORED, 500, "server_error", "had an error"),
        ("status_zero", Outcome.ERRORED, 0, None, None),
        ("both_null", Outcome.ERRORED, None, None, "neither"),
        ("no_body", Outcome.ERRORED, None, None, "without a body"),
        ("both_set", Outcome.ERRORED, 400, "content_filter", "filtered"),
    ],
)
def test_a_failed_request_says_why(
    name: str, outcome: Outcome, status: int | None, code: str | None, words: str | None
) -> None:
    result = ERRORS[name]
    assert (result.outcome, result.status, result.code) == (outcome, status, code)
    assert (words in (result.message or "")) if words else result.message is None
    assert result.response is None


@pytest.mark.parametrize("name", ["string_body", "no_error_key", "unwrapped", "42", "empty_error"])
def test_an_answer_in_a_foreign_shape_is_an_answer(name: str) -> None:
    response = FOREIGN[name].response
    assert response is not None
    assert (response.text, response.usage) == ("fine", Usage(24, 15, 8, 4))
    assert response.body["choices"][0]["message"]["content"] == "fine"


@pytest.mark.parametrize(
    ("name", "status", "code", "words"),
    [
        ("string_error", 400, "400", "max_tokens is too large"),
        ("no_response_key", 500, "500", "engine died"),
        (None, None, "bad_request", "nameless"),
        ("bare_string", None, None, "out of memory"),
        ("error_in_200", 504, "504", "upstream timed out"),
        ("error_in_200_invalid", 400, "invalid_request_error", "no such field"),
        ("page", 502, None, "502 Bad Gateway"),
    ],
)
def test_an_error_in_a_foreign_shape_is_an_error(
    name: str | None, status: int | None, code: str | None, words: str
) -> None:
    result = FOREIGN[name]
    assert (result.outcome, result.status, result.code) == (Outcome.ERRORED, status, code)
    assert words in (result.message or "")


def test_an_answer_of_undocumented_types_keeps_what_can_be_read() -> None:
    response = FOREIGN["odd_answer"].response
    assert response is not None
    assert (response.text, response.finish, response.usage) == ("kept", Finish.TRUNCATED, Usage(3, 4))


def test_a_paid_answer_that_is_no_object_is_left_to_the_task_to_judge() -> None:
    response = FOREIGN["no_answer_at_all"].response
    assert response is not None
    assert (response.text, response.body) == (None, "hello")


@pytest.mark.parametrize(
    ("name", "text", "refusal", "finish"),
    [
        ("ok", "In a peaceful grove.", None, Finish.COMPLETE),
        ("refused", None, "I can't help with that.", Finish.COMPLETE),
        ("cut", "In a pea", None, Finish.TRUNCATED),
        ("thought_only", None, None, Finish.TRUNCATED),
        ("filtered", None, None, Finish.FILTERED),
    ],
)
def test_a_responses_answer_is_read(name: str, text: str | None, refusal: str | None, finish: Finish) -> None:
    response = RESPONSES[name].response
    assert response is not None
    assert (response.text, response.refusal, response.finish) == (text, refusal, finish)
    assert response.usage == Usage(36, 87, 12, 64)


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("failed", 500, "server_error"),
        ("failed_silently", 500, "server_error"),
        ("prompt", 400, "invalid_prompt"),
    ],
)
def test_a_failed_response_inside_a_200_is_an_error_with_the_status_it_stands_for(
    name: str, status: int, code: str
) -> None:
    result = RESPONSES[name]
    assert (result.outcome, result.status, result.code) == (Outcome.ERRORED, status, code)


@pytest.mark.parametrize(
    ("name", "vectors"),
    [
        ("floats", [[0.5, -0.25]]),
        ("base64", [[0.5, -0.25]]),
        ("out_of_order", [[0.0], [1.0]]),
        ("not_base64", None),
        ("none", None),
    ],
)
def test_embeddings_are_read_in_the_order_of_their_inputs(
    name: str, vectors: list[list[float]] | None
) -> None:
    response = EMBEDDINGS[name].response
    assert response is not None
    read = response.vectors and [list(vector) for vector in response.vectors]
    assert (read, response.usage) == (vectors, Usage(8, 0))


def test_a_completion_is_read() -> None:
    response = results("completions_output.jsonl", Endpoint.COMPLETIONS)["completion"].response
    assert response is not None
    assert (response.text, response.finish, response.usage) == (" a test", Finish.TRUNCATED, Usage(5, 7))


def test_a_moderation_is_its_body() -> None:
    response = results("moderations_output.jsonl", Endpoint.MODERATIONS)["moderation"].response
    assert response is not None
    assert response.body["results"][0]["flagged"] is False


class Named(msgspec.Struct):
    name: str
    batch: msgspec.Raw


def batches() -> dict[str, RemoteBatch]:
    lines = (FOLDER / "batches.jsonl").read_bytes().split(b"\n")
    named = [msgspec.json.decode(line, type=Named) for line in lines if line]
    return {row.name: read_batch(bytes(row.batch)) for row in named}


BATCHES = batches()


@pytest.mark.parametrize(
    ("name", "status", "phase", "output", "error"),
    [
        ("validating", "validating", Phase.VALIDATING, None, None),
        ("completed", "completed", Phase.COMPLETED, "file-Out1", "file-Err1"),
        ("empty_string_error_file", "completed", Phase.COMPLETED, "file-Out1", None),
        ("all_failed", "completed", Phase.COMPLETED, None, "file-Err1"),
        ("token_limit", "failed", Phase.FAILED, None, None),
        ("expired_half_done", "expired", Phase.EXPIRED, "file-Out1", None),
        ("cancelling", "cancelling", Phase.CANCELLING, None, None),
        ("scheduling", "scheduling", Phase.VALIDATING, None, None),
        ("together", "IN_PROGRESS", Phase.IN_PROGRESS, None, None),
        ("errors_a_string", "FAILED", Phase.FAILED, None, None),
    ],
)
def test_a_batch_is_read(name: str, status: str, phase: Phase, output: str | None, error: str | None) -> None:
    batch = BATCHES[name]
    assert (batch.status, batch.phase) == (status, phase)
    assert (batch.output_file_id, batch.error_file_id) == (output, error)


@pytest.mark.parametrize(
    ("name", "codes", "lines"),
    [
        ("token_limit", ["token_limit_exceeded"], [None]),
        ("bad_line", ["invalid_json_line"], [1]),
        ("errors_a_string", [None], [None]),
        ("errors_a_list", [None, "invalid_request_error"], [None, 7]),
        ("errors_a_dict", ["400"], [None]),
        ("completed", [], []),
        ("together", [], []),
    ],
)
def test_why_a_batch_failed_is_read_from_every_shape(
    name: str, codes: list[str | None], lines: list[int | None]
) -> None:
    errors: tuple[BatchError, ...] = BATCHES[name].errors
    assert [error.code for error in errors] == codes
    assert [error.line for error in errors] == lines
    assert all(error.message for error in errors)


def test_absent_counts_are_unknown_and_zero_is_zero() -> None:
    assert BATCHES["counts_null"].total is None
    assert (BATCHES["validating"].total, BATCHES["validating"].completed) == (0, 0)
    milliseconds = BATCHES["milliseconds"]
    assert (milliseconds.total, milliseconds.completed, milliseconds.failed) == (3, 1, None)


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("validating", datetime(2024, 11, 21, 1, 17, 15, tzinfo=UTC)),
        ("scheduling", datetime(2024, 11, 21, 1, 17, 15, 774_000, tzinfo=UTC)),
        ("milliseconds", datetime(2024, 11, 21, 1, 17, 15, 774_000, tzinfo=UTC)),
        ("together", datetime(2025, 9, 10, 11, 12, 13, 456_000, tzinfo=UTC)),
        ("counts_null", None),
    ],
)
def test_times_are_read_whatever_their_unit(name: str, time: datetime | None) -> None:
    assert BATCHES[name].created_at == time


def test_metadata_are_text() -> None:
    assert BATCHES["validating"].metadata["nightmail_batch"] == "sections-7f3a.b1"
    assert BATCHES["milliseconds"].metadata == {"n": "1"}
    assert BATCHES["counts_null"].metadata == {}
