"""The body of one answer -> `Response`, per endpoint. Pure.

Each reader takes the body's bytes, decodes only the fields that it needs, and never fails on a body that
is JSON: what cannot be read is None, and judging the answer is the task's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from nightmail.core.request import Endpoint
from nightmail.core.result import Finish, Response
from nightmail.core.usage import NO_USAGE, Usage
from nightmail.providers.openai.vectors import Extract, numbers_in

Whole = msgspec.Raw | tuple[Callable[[bytes], msgspec.Raw], bytes]  # see `Response`
_CUT_SHORT = ("length", "max_tokens", "max_output_tokens", "model_length")
_TEXT_PARTS = ("text", "output_text", None)
_FILTERED = ("content_filter", "safety")
_WHOLE = ("stop", None)
# Read once for each answer; looking a member up in its class takes as long as making the answer's counts.
_COMPLETE = Finish.COMPLETE


class _Details(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    # Chat, completions and embeddings use the first pair of names, Responses and newer servers the second.
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Part(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None


class _Message(msgspec.Struct, gc=False):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    tool_calls: list[msgspec.Raw] | None = None


class _Choice(msgspec.Struct, gc=False):
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Item(msgspec.Struct, gc=False):
    type: str | None = None
    content: list[_Part] | None = None


class _Reason(msgspec.Struct, gc=False):
    reason: str | None = None


class _Vector(msgspec.Struct, gc=False):
    embedding: msgspec.Raw
    index: int | None = None


class _Choices(msgspec.Struct, gc=False):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    service_tier: str | None = None
    error: msgspec.Raw | None = None


class _Output(msgspec.Struct, gc=False):
    model: str | None = None
    status: str | None = None
    output: list[_Item] | None = None
    incomplete_details: _Reason | None = None
    usage: _Usage | None = None
    service_tier: str | None = None
    error: msgspec.Raw | None = None


class _Vectors(msgspec.Struct, gc=False):
    model: str | None = None
    data: list[_Vector] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw | None = None


class _Envelope(msgspec.Struct, gc=False):
    """The part that every endpoint's body shares; all that is read of a moderation."""

    model: str | None = None
    usage: _Usage | None = None
    error: msgspec.Raw | None = None


class Unanswered(msgspec.Struct, frozen=True):
    """A body that arrived with status 200 and holds an error instead of an answer."""

    error: msgspec.Raw


def read_extract(body: msgspec.Raw, extract: Extract, whole: Whole) -> Response:
    """An embeddings answer whose vectors were taken out. Raises `ValueError` if it is not as documented."""
    answer = _decode_vectors(body)
    if not answer.data or answer.error is not None:
        raise ValueError("not an answer with vectors")
    texts = [extract.texts[int(bytes(vector.embedding))] for vector in _in_order(answer.data)]
    return Response(
        model=answer.model or "",
        whole=whole,
        vectors=[numbers_in(msgspec.Raw(text)) for text in texts],
        usage=_counted(answer.usage),
    )


def short_reader(endpoint: Endpoint) -> tuple[type[Any], Callable[..., Response | Unanswered]] | None:
    """The type of a documented body, which has an `error`, and what reads one; None for other endpoints."""
    return _SHORT.get(endpoint)


def read_answer(body: msgspec.Raw, endpoint: Endpoint) -> Response | Unanswered:
    """The answer in a body that came with a 2xx. Raises `msgspec.DecodeError` if it is no JSON."""
    decode, read = _READERS[endpoint]
    try:
        answer = decode(body)
        if answer.error is not None and is_told(answer.error):
            return Unanswered(answer.error)
        return read(answer, body)
    except msgspec.ValidationError:
        return _whatever_is_there(body)


def _chat(answer: _Choices, body: Whole) -> Response:
    choice = answer.choices[0] if answer.choices else None
    message = choice.message if choice else None
    text = refusal = None
    if message is not None:
        content, refusal = message.content, message.refusal
        if isinstance(content, list):
            text, refusal = _joined(content, refusal)
        else:
            text = None if content == "" and message.tool_calls else content
    return Response(
        model=answer.model or "",
        whole=body,
        text=text,
        refusal=refusal or None,
        finish=_finish(choice.finish_reason if choice else None),
        usage=_counted(answer.usage),
        tier=answer.service_tier,
    )


def _completion(answer: _Choices, body: Whole) -> Response:
    choice = answer.choices[0] if answer.choices else None
    return Response(
        model=answer.model or "",
        whole=body,
        text=choice.text if choice else None,
        finish=_finish(choice.finish_reason if choice else None),
        usage=_counted(answer.usage),
    )


def _responses(answer: _Output, body: Whole) -> Response | Unanswered:
    if answer.status == "failed":
        return Unanswered(msgspec.Raw(b'{"code":"server_error","message":"status failed, no reason given"}'))
    messages = [part for item in answer.output or () if item.type == "message" for part in item.content or ()]
    text, refusal = _joined(messages, None)
    finish = _COMPLETE
    if answer.status == "incomplete":
        reason = answer.incomplete_details.reason if answer.incomplete_details else None
        finish = Finish.FILTERED if reason in _FILTERED else Finish.TRUNCATED
    return Response(
        model=answer.model or "",
        whole=body,
        text=text,
        refusal=refusal,
        finish=finish,
        usage=_counted(answer.usage),
        tier=answer.service_tier,
    )


def _embeddings(answer: _Vectors, body: Whole) -> Response:
    data = _in_order(answer.data) if answer.data else None
    return Response(
        model=answer.model or "",
        whole=body,
        vectors=[numbers_in(vector.embedding) for vector in data] if data else None,
        usage=_counted(answer.usage),
    )


def _in_order(data: list[_Vector]) -> list[_Vector]:
    """As the inputs were given."""
    if all(vector.index in (None, at) for at, vector in enumerate(data)):
        return data
    return sorted(data, key=lambda vector: vector.index or 0)


def _moderation(answer: _Envelope, body: Whole) -> Response:
    return Response(model=answer.model or "", whole=body, usage=_counted(answer.usage))


def _whatever_is_there(body: msgspec.Raw) -> Response | Unanswered:
    """An answer that was paid for in a shape nobody documented: keep it, and what can be read of it."""
    value = msgspec.json.decode(body)
    if not isinstance(value, dict):
        return Response(model="", whole=body)
    error = value.get("error")
    raw = msgspec.Raw(msgspec.json.encode(error))
    if is_told(raw):
        return Unanswered(raw)
    try:
        usage = _counted(msgspec.convert(value.get("usage"), _Usage | None, strict=False))
    except msgspec.ValidationError:
        usage = NO_USAGE
    model = value.get("model")
    text, finish = _first_text(value)
    return Response(
        model=model if isinstance(model, str) else "", whole=body, text=text, finish=finish, usage=usage
    )


def _first_text(value: dict[str, Any]) -> tuple[str | None, Finish]:
    choices = value.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict):
        return None, Finish.COMPLETE
    message = first.get("message")
    text = message.get("content") if isinstance(message, dict) else first.get("text")
    finish = first.get("finish_reason")
    return text if isinstance(text, str) else None, _finish(finish if isinstance(finish, str) else None)


def _joined(parts: list[_Part], refusal: str | None) -> tuple[str | None, str | None]:
    texts = [part.text for part in parts if part.text is not None and part.type in _TEXT_PARTS]
    refusals = [part.refusal for part in parts if part.refusal]
    return "".join(texts) if texts else None, refusal or "".join(refusals) or None


def _finish(reason: str | None) -> Finish:
    if reason in _WHOLE:
        return _COMPLETE
    if reason in _CUT_SHORT:
        return Finish.TRUNCATED
    return Finish.FILTERED if reason in _FILTERED else _COMPLETE


def _counted(usage: _Usage | None) -> Usage:
    if usage is None:
        return NO_USAGE
    into = usage.prompt_tokens_details or usage.input_tokens_details
    out = usage.completion_tokens_details or usage.output_tokens_details
    return Usage(
        usage.prompt_tokens or usage.input_tokens or 0,
        usage.completion_tokens or usage.output_tokens or 0,
        (into.cached_tokens or 0) if into else 0,
        (out.reasoning_tokens or 0) if out else 0,
    )


def is_told(error: msgspec.Raw | None) -> bool:
    """Whether an `error` field holds one: null, "", {} and an object of nulls do not."""
    if error is None:
        return False
    value = msgspec.json.decode(error)
    return any(value.values()) if isinstance(value, dict) else bool(value)


_decode_choices = msgspec.json.Decoder(_Choices).decode
_decode_vectors = msgspec.json.Decoder(_Vectors).decode
_READERS: dict[Endpoint, tuple[Callable[[msgspec.Raw], Any], Callable[..., Response | Unanswered]]] = {
    Endpoint.CHAT: (_decode_choices, _chat),
    Endpoint.COMPLETIONS: (_decode_choices, _completion),
    Endpoint.RESPONSES: (msgspec.json.Decoder(_Output).decode, _responses),
    Endpoint.EMBEDDINGS: (_decode_vectors, _embeddings),
    Endpoint.MODERATIONS: (msgspec.json.Decoder(_Envelope).decode, _moderation),
}
_SHORT: dict[Endpoint, tuple[type[Any], Callable[..., Response | Unanswered]]] = {
    Endpoint.CHAT: (_Choices, _chat),
    Endpoint.COMPLETIONS: (_Choices, _completion),
    Endpoint.RESPONSES: (_Output, _responses),
}
