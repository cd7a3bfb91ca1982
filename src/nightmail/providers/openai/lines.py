"""The lines of input, output and error files. Pure: bytes and nouns.

A result line is judged by what is in it, never by which file it came from. What varies from server to
server: the body as a JSON string, no `error` key, an error row without `response` or without `custom_id`,
status 0, an error inside a body that came with status 200, integer codes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from nightmail.core.pricing import FLEX_TIER
from nightmail.core.request import Endpoint
from nightmail.core.result import Outcome, Response, Result
from nightmail.providers.base import CallReply
from nightmail.providers.openai.answers import Unanswered, is_told, read_answer, read_extract, short_reader
from nightmail.providers.openai.complaints import Complaint, complaint_in, name
from nightmail.providers.openai.vectors import extract

# `batch_expired` is documented; the others are seen in copies of the reference only.
_OUTCOMES = {
    "batch_expired": Outcome.EXPIRED,
    "batch_cancelled": Outcome.CANCELLED,
    "batch_canceled": Outcome.CANCELLED,
}
# An error inside a 200 has no status of its own. Its code stands for one, so that it is repeated or
# given up like the same error outside; a code nobody knows counts as the server's fault.
_STANDS_FOR = {
    "invalid_prompt": 400,
    "invalid_request": 400,
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "rate_limit_exceeded": 429,
    "model_not_found": 404,
}
_UNKNOWN_FAULT = 500
_HEADS = {
    endpoint: b',"method":"POST","url":' + msgspec.json.encode(endpoint.value) + b',"body":'
    for endpoint in Endpoint
}
_NOT_JSON = (msgspec.DecodeError, ValueError, RecursionError)  # UnicodeDecodeError is a ValueError
_NULL = msgspec.Raw(b"null")
_FLEX = msgspec.Raw(msgspec.json.encode(FLEX_TIER))
_QUOTE = ord(b'"')
_SUCCEEDED = Outcome.SUCCEEDED  # for each answer: looking it up in its class takes as long as using it


class _Reply(msgspec.Struct, gc=False):
    body: msgspec.Raw
    status_code: int = 200


class _Row(msgspec.Struct, gc=False):
    custom_id: str | None = None
    response: _Reply | None = None
    error: msgspec.Raw | None = None


class _Request(msgspec.Struct):
    body: msgspec.Raw


def _documented(endpoint: Endpoint) -> tuple[Decode, ReadBody] | None:
    """What decodes a whole line with an answer, and what reads its body."""
    if (short := short_reader(endpoint)) is None:
        return None
    body, read = short
    reply = msgspec.defstruct("_Answered", [("status_code", int), ("body", body)], gc=False)
    row = msgspec.defstruct(
        "_Answer", [("custom_id", str), ("response", reply), ("error", None, None)], gc=False
    )
    return msgspec.json.Decoder(row).decode, read


Decode = Callable[[bytes], Any]
ReadBody = Callable[..., Response | Unanswered]
_SHORT = {endpoint: short for endpoint in Endpoint if (short := _documented(endpoint)) is not None}
# Looking an endpoint up takes as long as a third of what there is to read.
_CHAT, _SHORT_CHAT = Endpoint.CHAT, _SHORT[Endpoint.CHAT]
_decode_row = msgspec.json.Decoder(_Row).decode
_decode_request = msgspec.json.Decoder(_Request).decode


def request_line(custom_id: str, endpoint: Endpoint, body: bytes) -> bytes:
    """One line of an input file, with its newline, around the body's bytes as they are."""
    return b'{"custom_id":' + msgspec.json.encode(custom_id) + _HEADS[endpoint] + _on_one_line(body) + b"}\n"


def request_body(line: bytes) -> bytes:
    """The body inside a line that `request_line` made. Raises `ValueError` for any other line."""
    try:
        return bytes(_decode_request(line).body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a request line: {error}") from error


def with_flex(body: bytes) -> bytes:
    """The body of a call that asks for the flex tier."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return msgspec.json.encode(fields | {"service_tier": _FLEX})


def result_line(custom_id: str, reply: CallReply) -> bytes:
    """The line that a batch would have given for a synchronous answer, with its newline."""
    try:
        msgspec.json.decode(reply.body)
        body = _on_one_line(reply.body)
    except _NOT_JSON:
        try:
            body = _mended(reply.body)
        except _NOT_JSON:
            # A gateway's HTML page, say. As a JSON string it stays readable and the line stays JSON.
            body = msgspec.json.encode(reply.body.decode(errors="replace"))
    encode = msgspec.json.encode
    request_id = encode(reply.request_id)
    head = b'{"id":%b,"custom_id":%b,' % (encode(f"sync_{reply.request_id or custom_id}"), encode(custom_id))
    response = b'"response":{"status_code":%d,"request_id":%b,"body":%b}' % (reply.status, request_id, body)
    return head + response + b',"error":null}\n'


def read_result(line: bytes, endpoint: Endpoint) -> Result:
    """What one line of an output or error file says. Raises `ValueError` if it is no result line."""
    if endpoint is _CHAT:
        found = _as_documented(line, *_SHORT_CHAT)
    elif endpoint is Endpoint.EMBEDDINGS:
        found = _embedded(line)
    else:
        short = _SHORT.get(endpoint)
        found = None if short is None else _as_documented(line, *short)
    if found is not None:
        return found
    try:
        return _read(line, endpoint)
    except _NOT_JSON as error:
        try:
            return _read(_mended(line), endpoint)
        except _NOT_JSON:
            raise ValueError(f"not a result line: {error}") from error


def _as_documented(line: bytes, decode: Decode, read: ReadBody) -> Result | None:
    """An answer in a line that is as documented, read in one go; None for any other line."""
    try:
        row = decode(line)
    except _NOT_JSON:
        return None
    reply = row.response
    body = reply.body
    if reply.status_code != 200 or body.error is not None or not row.custom_id:
        return None
    answer = read(body, (_body_in, line))
    if isinstance(answer, Unanswered):
        return None
    return Result(custom_id=row.custom_id, outcome=_SUCCEEDED, response=answer)


def _body_in(line: bytes) -> msgspec.Raw:
    reply = _decode_row(line).response
    assert reply is not None, "it was read before"
    return reply.body


def _embedded(line: bytes) -> Result | None:
    """A line with embeddings that is as documented, read the short way; None for any other."""
    if (found := extract(line)) is None:
        return None
    try:
        row = _decode_row(found.line)
        reply = row.response
        if reply is None or reply.status_code != 200 or row.error is not None or not row.custom_id:
            return None
        answer = read_extract(reply.body, found, (_body_in, line))
    except _NOT_JSON:
        return None
    return Result(custom_id=row.custom_id, outcome=Outcome.SUCCEEDED, response=answer)


def _read(line: bytes, endpoint: Endpoint) -> Result:
    try:
        row = _decode_row(line)
    except msgspec.ValidationError:
        row = _odd_row(line)
    reply, row.custom_id = row.response, row.custom_id or None
    if row.error is not None and is_told(row.error):
        said = complaint_in(msgspec.json.decode(row.error))
        told = reply.status_code if reply is not None and reply.status_code != 200 else None
        return _failure(row.custom_id, said, _status_in(said.code) if told is None else told)
    if reply is None:
        if row.custom_id is None and row.error is None:
            raise ValueError("it has no custom_id, response or error")
        return _failure(row.custom_id, Complaint(message="neither an answer nor an error"), None)
    body = reply.body
    if memoryview(body)[0] == _QUOTE:
        body = _unwrapped(body)
    if not 200 <= reply.status_code < 300:
        return _failure(row.custom_id, complaint_in(msgspec.json.decode(body)), reply.status_code)
    if body == _NULL:
        return _failure(row.custom_id, Complaint(message="an answer without a body"), None)
    answer = read_answer(body, endpoint)
    if isinstance(answer, Unanswered):
        said = complaint_in(msgspec.json.decode(answer.error))
        known = _STANDS_FOR.get(said.code or "", _STANDS_FOR.get(said.type or "", _UNKNOWN_FAULT))
        return _failure(row.custom_id, said, _status_in(said.code) or known)
    return Result(custom_id=row.custom_id, outcome=_SUCCEEDED, response=answer)


def _failure(custom_id: str | None, said: Complaint, status: int | None) -> Result:
    code = said.code or said.type
    return Result(
        custom_id=custom_id,
        outcome=_OUTCOMES.get(code or "", Outcome.ERRORED),
        status=status,
        code=code,
        message=said.message,
    )


def _odd_row(line: bytes) -> _Row:
    """A row whose fields are not of their documented types, as far as it can be understood."""
    value = msgspec.json.decode(line)
    if not isinstance(value, dict) or not value.keys() & {"custom_id", "response", "error"}:
        raise ValueError("it has no custom_id, response or error")
    error = value.get("error")
    return _Row(
        custom_id=name(value.get("custom_id")),
        response=_odd_reply(value.get("response")),
        error=None if error is None else msgspec.Raw(msgspec.json.encode(error)),
    )


def _odd_reply(response: Any) -> _Reply | None:
    if response is None:
        return None
    if not isinstance(response, dict):
        return _Reply(msgspec.Raw(msgspec.json.encode(response)))
    status = name(response.get("status_code"))
    # Some servers put the answer where its envelope belongs.
    body = response.get("body", response)
    return _Reply(
        msgspec.Raw(msgspec.json.encode(body)),
        int(status) if status is not None and status.isascii() and status.isdigit() else 200,
    )


def _unwrapped(body: msgspec.Raw) -> msgspec.Raw:
    """The JSON inside a JSON string; a string that holds no JSON stays what it is."""
    inner = msgspec.json.decode(body, type=str).encode()
    try:
        return _NULL if not inner.strip() else msgspec.json.decode(inner, type=msgspec.Raw)
    except msgspec.DecodeError:
        return body


def _mended(text: bytes) -> bytes:
    """JSON of what is nearly JSON, since the answer in it was paid for: half a character becomes a
    replacement, and what Python's encoder writes without the standard's leave (NaN, Infinity) null."""
    value = json.loads(text.decode(errors="replace"), parse_constant=lambda _: None)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _status_in(code: str | None) -> int | None:
    """The HTTP status that a server wrote as its error code (`{"code": 429}`)."""
    return int(code) if code is not None and len(code) == 3 and code.isascii() and code.isdigit() else None


def _on_one_line(body: bytes) -> bytes:
    # In valid JSON a line break can only stand between tokens, where a blank does as well.
    return body.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in body or b"\r" in body else body
