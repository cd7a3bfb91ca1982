"""Input and result lines: what holds for any bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.request import Endpoint
from nightmail.core.result import Outcome
from nightmail.providers.base import CallReply, Rates
from nightmail.providers.openai.complaints import name
from nightmail.providers.openai.lines import read_result, request_body, request_line, result_line, with_flex

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
WORDS = st.sampled_from(
    ["error", "message", "code", "choices", "content", "usage", "model", "data", "output", "status", "text"]
)
BODIES = st.recursive(
    JSON, lambda inner: st.dictionaries(WORDS, inner, max_size=4) | st.lists(inner, max_size=2), max_leaves=10
)


@given(st.text(min_size=1), st.sampled_from(Endpoint), st.dictionaries(st.text(), JSON, max_size=4))
def test_a_request_line_is_one_line_around_the_body_as_it_is(
    custom_id: str, endpoint: Endpoint, body: dict[str, Any]
) -> None:
    for text in (json.dumps(body), json.dumps(body, indent=1, ensure_ascii=False).replace("\n", "\r\n")):
        line = request_line(custom_id, endpoint, text.encode("utf-8", "surrogatepass"))
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert b"\r" not in line
        assert json.loads(line) == {
            "custom_id": custom_id,
            "method": "POST",
            "url": endpoint.value,
            "body": body,
        }
        assert json.loads(request_body(line)) == body


def test_a_body_comes_back_out_of_its_line_byte_for_byte() -> None:
    body = '{"model":"m", "n":1.50,"t":" \\u00e9é"}'.encode()
    assert request_body(request_line("run_1", Endpoint.CHAT, body)) == body
    for line in (b"", b"{}", b"[]", b'{"body":'):
        with pytest.raises(ValueError, match="not a request line"):
            request_body(line)


@given(st.sampled_from(Endpoint), st.integers(0, 599), BODIES)
def test_any_json_body_can_be_read_and_a_2xx_is_lost_only_to_an_error(
    endpoint: Endpoint, status: int, body: Any
) -> None:
    reply = CallReply(status=status, body=json.dumps(body, indent=1).encode(), rates=Rates(), request_id="r")
    line = result_line("run_1", reply)
    assert line.count(b"\n") == 1
    result = read_result(line[:-1], endpoint)
    assert result.custom_id == "run_1"
    assert (result.response is None) == (result.outcome is not Outcome.SUCCEEDED)
    if not 200 <= status < 300:
        assert result.outcome is not Outcome.SUCCEEDED
        assert result.status == status


@given(st.binary(max_size=80))
def test_a_synchronous_body_that_is_no_json_still_makes_a_line(body: bytes) -> None:
    line = result_line("run_1", CallReply(status=502, body=body, rates=Rates()))
    assert line.count(b"\n") == 1
    result = read_result(line, Endpoint.CHAT)
    assert (result.custom_id, result.outcome, result.status) == ("run_1", Outcome.ERRORED, 502)


@given(
    st.dictionaries(st.sampled_from(["custom_id", "response", "error", "id"]), BODIES),
    st.sampled_from(Endpoint),
)
def test_a_row_of_any_shape_is_read_or_said_to_be_none(row: dict[str, Any], endpoint: Endpoint) -> None:
    line = json.dumps(row).encode()
    if name(row.get("custom_id")) or row.get("response") is not None or row.get("error") is not None:
        assert read_result(line, endpoint).outcome in (Outcome.SUCCEEDED, Outcome.ERRORED)
        return
    with pytest.raises(ValueError, match="not a result line"):
        read_result(line, endpoint)


@pytest.mark.parametrize(
    "line", [b"", b" ", b"[]", b"{}", b"null", b'{"custom_id":"a","resp', b"\xff\xfe", b'{"a":1}']
)
def test_what_is_no_result_line_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a result line"):
        read_result(line, Endpoint.CHAT)


def test_a_character_cut_in_two_costs_no_answer() -> None:
    body = b'{"model":"m","choices":[{"message":{"content":"caf\xc3"},"finish_reason":"stop"}]}'
    result = read_result(b'{"custom_id":"a","response":{"status_code":200,"body":%b}}' % body, Endpoint.CHAT)
    assert result.response is not None
    assert result.response.text == "caf\ufffd"


def test_numbers_that_json_does_not_have_cost_no_answer() -> None:
    body = b'{"model":"m","choices":[{"message":{"content":"yes"},"logprobs":{"content":[-Infinity,NaN]}}]}'
    result = read_result(b'{"custom_id":"a","response":{"status_code":200,"body":%b}}' % body, Endpoint.CHAT)
    assert result.response is not None
    assert result.response.text == "yes"
    assert result.response.body["choices"][0]["logprobs"] == {"content": [None, None]}
    line = result_line("a", CallReply(status=200, body=body, rates=Rates()))
    again = read_result(line, Endpoint.CHAT).response
    assert again is not None
    assert again.text == "yes"


def test_half_an_emoji_costs_no_answer() -> None:
    body = b'{"model":"m","choices":[{"message":{"content":"ok \\ud83d"},"finish_reason":"length"}]}'
    result = read_result(b'{"custom_id":"a","response":{"status_code":200,"body":%b}}' % body, Endpoint.CHAT)
    assert result.response is not None
    assert (result.response.text or "").startswith("ok ")


def test_the_trailing_carriage_return_of_a_windows_server_does_no_harm() -> None:
    result = read_result(b'{"custom_id":"a","response":null,"error":{"code":"x"}}\r\n', Endpoint.CHAT)
    assert (result.custom_id, result.code) == ("a", "x")


def test_a_call_by_flex_says_so_once_and_keeps_the_rest() -> None:
    body = b'{"model":"o3","service_tier":"auto","big":12345678901234567890.5}'
    assert json.loads(with_flex(body)) == json.loads(body) | {"service_tier": "flex"}
    assert with_flex(body).count(b"service_tier") == 1


@pytest.mark.parametrize(("endpoint", "shape"), [(Endpoint.CHAT, "choices"), (Endpoint.RESPONSES, "output")])
def test_an_answer_tells_the_tier_it_was_billed_by(endpoint: Endpoint, shape: str) -> None:
    body = json.dumps({shape: [], "service_tier": "flex"}).encode()
    line = result_line("r_1", CallReply(status=200, body=body, rates=Rates()))
    result = read_result(line, endpoint)
    assert result.response is not None
    assert result.response.tier == "flex"
