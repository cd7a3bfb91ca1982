"""Lines as nearly all are, read many at a time: one complete chat answer, or embeddings, in each. Pure.

The types below are narrow: whatever is not exactly so is left to `lines.read_result`, which says the same of
the rest. Of an answer nothing is made here but what is counted and kept; as an object for each, reading
took half as long again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Generic, Literal, TypeVar

import msgspec

from nightmail.core.request import Endpoint
from nightmail.core.result import Answers
from nightmail.core.usage import Usages
from nightmail.providers.openai.vectors import Numbers, extract

_Some = Annotated[str, msgspec.Meta(min_length=1)]
_Counted = Annotated[int, msgspec.Meta(ge=1)]
_NOT_SO = (msgspec.DecodeError, ValueError, RecursionError)  # UnicodeDecodeError is a ValueError


class _Cached(msgspec.Struct, gc=False):
    cached_tokens: int | None = 0


class _Reasoning(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = 0


class _OneSetOfNames(msgspec.Struct, gc=False, kw_only=True):
    """Without the names of another endpoint: who uses both means something by it."""

    input_tokens: None = None
    output_tokens: None = None
    input_tokens_details: None = None
    output_tokens_details: None = None


class _Usage(_OneSetOfNames, gc=False, kw_only=True):
    prompt_tokens: _Counted
    completion_tokens: _Counted
    prompt_tokens_details: _Cached | None = None
    completion_tokens_details: _Reasoning | None = None


class _Message(msgspec.Struct, gc=False):
    content: _Some
    refusal: None = None


class _Choice(msgspec.Struct, gc=False):
    message: _Message
    finish_reason: Literal["stop"]


class _Body(msgspec.Struct, gc=False):
    model: str
    choices: tuple[_Choice]
    usage: _Usage
    service_tier: str | None = None
    error: None = None


class _Vector(msgspec.Struct, gc=False):
    embedding: int  # the vector's number in the extract
    index: int | None = None


class _VectorUsage(_OneSetOfNames, gc=False, kw_only=True):
    prompt_tokens: _Counted
    completion_tokens: Literal[0] | None = None
    prompt_tokens_details: None = None
    completion_tokens_details: None = None


class _VectorBody(msgspec.Struct, gc=False):
    model: str
    data: list[_Vector]
    usage: _VectorUsage
    error: None = None


B = TypeVar("B")


class _Response(msgspec.Struct, Generic[B], gc=False):
    status_code: Literal[200]
    body: B


class _Row(msgspec.Struct, Generic[B], gc=False):
    custom_id: _Some
    response: _Response[B]
    error: None = None


_decode = msgspec.json.Decoder(_Row[_Body]).decode
_decode_vectors = msgspec.json.Decoder(_Row[_VectorBody]).decode
_usage = _Usage(prompt_tokens=1, completion_tokens=1)
_body = _Body(model="", choices=(_Choice(message=_Message(content=""), finish_reason="stop"),), usage=_usage)
# Stands for a line of any other kind. No line gives an empty text.
_OTHER = _Row(custom_id="", response=_Response(status_code=200, body=_body))


def read_answers(lines: Sequence[bytes], endpoint: Endpoint) -> Answers | None:
    """See `nightmail.providers.base.Provider.read_answers`."""
    if endpoint is Endpoint.EMBEDDINGS:
        return _embeddings(lines)
    return _chats(lines) if endpoint is Endpoint.CHAT else None


def _chats(lines: Sequence[bytes]) -> Answers:
    try:
        rows = [_decode(line) for line in lines]
    except _NOT_SO:
        rows = [_read(line) for line in lines]
    bodies = [row.response.body for row in rows]
    usages = [body.usage for body in bodies]
    return Answers(
        custom_ids=[row.custom_id for row in rows],
        models=[body.model for body in bodies],
        contents=[body.choices[0].message.content or None for body in bodies],
        usages=Usages(
            [usage.prompt_tokens for usage in usages],
            [usage.completion_tokens for usage in usages],
            [(into.cached_tokens or 0) if (into := usage.prompt_tokens_details) else 0 for usage in usages],
            [
                (out.reasoning_tokens or 0) if (out := usage.completion_tokens_details) else 0
                for usage in usages
            ],
        ),
        tiers=[body.service_tier for body in bodies],
    )


def _read(line: bytes) -> _Row[_Body]:
    try:
        return _decode(line)
    except _NOT_SO:
        return _OTHER


def _embeddings(lines: Sequence[bytes]) -> Answers:
    numbers = Numbers()
    read = [_read_vectors(line, numbers) for line in lines]
    nothing = [0] * len(read)
    return Answers(
        custom_ids=[row.custom_id if row else "" for row, _ in read],
        models=[row.response.body.model if row else "" for row, _ in read],
        contents=[vectors for _, vectors in read],
        usages=Usages(
            [row.response.body.usage.prompt_tokens if row else 0 for row, _ in read],
            nothing,
            nothing,
            nothing,
        ),
        tiers=[None] * len(read),
    )


def _read_vectors(
    line: bytes, numbers: Numbers
) -> tuple[_Row[_VectorBody], list[memoryview[float]]] | tuple[None, None]:
    """The line without its vectors, and these; nothing if it is anything but a complete answer."""
    if (found := extract(line)) is None:
        return None, None
    try:
        row = _decode_vectors(found.line)
        if _are_in_order(row.response.body.data, len(found.texts)):
            return row, [numbers.view(text) for text in found.texts]
    except _NOT_SO:
        pass
    return None, None


def _are_in_order(data: list[_Vector], count: int) -> bool:
    for at, vector in enumerate(data):
        if vector.embedding != at or (vector.index != at and vector.index is not None):
            return False
    return len(data) == count
