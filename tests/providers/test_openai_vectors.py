"""Embeddings in result lines: the short way says what the long way says."""

import json
from array import array

import pytest

from nightmail.core.request import Endpoint
from nightmail.core.result import Outcome
from nightmail.core.usage import Usage
from nightmail.providers.openai import lines, vectors
from nightmail.providers.openai.lines import read_result

USAGE = {"prompt_tokens": 8, "total_tokens": 8}


def line_of(*embeddings, status=200, error=None, **body):
    data = [{"object": "embedding", "index": n, "embedding": each} for n, each in enumerate(embeddings)]
    whole = {"object": "list", "data": data, "model": "m", "usage": USAGE, **body}
    response = {"status_code": status, "request_id": "r", "body": whole}
    return json.dumps({"id": "b", "custom_id": "x", "response": response, "error": error}).encode()


def plain(result):
    response = result.response
    read = response and response.vectors and [list(vector) for vector in response.vectors]
    return result.custom_id, result.outcome, result.code, read, response and (response.usage, response.body)


LINES = {
    "one": line_of([0.5, -0.25, 1e-9, 3]),
    "several": line_of([0.5], [0.25], [-1.0]),
    "without blanks": line_of([0.5, 1.5]).replace(b" ", b""),
    "many blanks": line_of([0.5]).replace(b"[0.5]", b" " * 200 + b"[ 0.5 ]"),
    "out of order": line_of([1.0], [2.0]).replace(b'"index": 0', b'"index": 9'),
    "empty": line_of([]),
    "none": line_of(),
    "base64": line_of("AAAAPwAAgL4="),
    "a list of lists": line_of([[0.5]]),
    "a null in it": line_of([0.5, None]),
    "a NaN in it": line_of([0.5, float("nan")]),
    "too large": line_of([0.5]).replace(b"0.5", b"1e400"),
    "not closed": line_of([0.5])[:150],
    "its name in a text": line_of([0.5], model='"embedding":[7]'),
    "its name in another place": line_of([0.5], note={"embedding": [1, 2]}),
    "a number": line_of(0),
    "an error": line_of([0.5], error={"code": "server_error", "message": "no"}),
    "an error inside": line_of([0.5], error_here=None).replace(
        b'"error_here": null', b'"error": {"code": "429"}'
    ),
    "a refused call": line_of([0.5], status=429),
}


@pytest.mark.parametrize("name", LINES)
def test_every_line_reads_the_same_without_the_short_ways(monkeypatch, name):
    def read():
        try:
            return plain(read_result(LINES[name], Endpoint.EMBEDDINGS))
        except ValueError:
            return "not a result line"

    short = read()
    monkeypatch.setattr(vectors, "simdjson", None)
    without_simd = read()
    monkeypatch.setattr(lines, "extract", lambda line: None)

    assert repr(short) == repr(without_simd) == repr(read())


def test_a_documented_line_takes_the_short_way_and_keeps_its_body(monkeypatch):
    def long_way(*_):
        raise AssertionError("the long way")

    monkeypatch.setattr(lines, "_read", long_way)
    line = line_of([0.5, -0.25], [1.0, 2.0])

    result = read_result(line, Endpoint.EMBEDDINGS)

    assert (result.custom_id, result.outcome) == ("x", Outcome.SUCCEEDED)
    assert result.response.vectors == [array("d", [0.5, -0.25]), array("d", [1.0, 2.0])]
    assert result.response.usage == Usage(8, 0)
    assert bytes(result.response.raw) in line
