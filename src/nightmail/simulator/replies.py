"""The JSON bodies of answered requests, one per endpoint, and the lines of result files.

Bodies are bytes templates filled in, not dictionaries dumped: at a hundred thousand lines a second a
dictionary per line is most of the cost. Shapes are those of the `openai` package 3.52 (types/chat,
types/responses, types/create_embedding_response, types/completion, types/moderation).
"""

from __future__ import annotations

from typing import Any

import orjson

from nightmail.core.request import Endpoint
from nightmail.simulator import vectors
from nightmail.simulator.answers import Answer
from nightmail.simulator.asks import Ask
from nightmail.simulator.moderation import judged

_CHOICE = (
    b'{"index":%d,"message":{"role":"assistant","content":%b,"refusal":%b,"annotations":[]},'
    b'"logprobs":null,"finish_reason":"%b"}'
)
_CHAT = (
    b'{"id":"chatcmpl-%b","object":"chat.completion","created":%d,"model":%b,"choices":[%b],'
    b'"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
    b'"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
    b'"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
    b'"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},'
    b'"service_tier":"default","system_fingerprint":"simulated"}'
)
_RESPONSES = (
    b'{"id":"resp_%b","object":"response","created_at":%d,"status":"%b","background":false,"error":null,'
    b'"incomplete_details":%b,"instructions":null,"max_output_tokens":%b,"model":%b,'
    b'"output":[{"id":"msg_%b","type":"message","status":"%b","role":"assistant","content":[%b]}],'
    b'"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},'
    b'"service_tier":"default","store":false,"temperature":1.0,"text":{"format":{"type":"text"}},'
    b'"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled",'
    b'"usage":{"input_tokens":%d,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},'
    b'"output_tokens":%d,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":%d},'
    b'"user":null,"metadata":{"simulated":"true"}}'
)
_FLEX_CHAT = _CHAT.replace(b'"service_tier":"default"', b'"service_tier":"flex"')
_FLEX_RESPONSES = _RESPONSES.replace(b'"service_tier":"default"', b'"service_tier":"flex"')
_OUTPUT_TEXT = b'{"type":"output_text","annotations":[],"logprobs":[],"text":%b}'
_OUTPUT_REFUSAL = b'{"type":"refusal","refusal":%b}'


def body_of(
    endpoint: Endpoint,
    ask: Ask,
    answered: Answer,
    name: bytes,
    created: int,
    salt: int,
    flex: bool = False,
) -> bytes:
    """The body of a 200. `name` goes into its id, `created` is a unix time.

    `flex`: the tier is told as such. A batch has none, whatever its lines ask for.
    """
    if endpoint is Endpoint.CHAT:
        return _chat(ask, answered, name, created, _FLEX_CHAT if flex else _CHAT)
    if endpoint is Endpoint.RESPONSES:
        return _responses(ask, answered, name, created, _FLEX_RESPONSES if flex else _RESPONSES)
    texts = ask.texts or [ask.text]
    if endpoint is Endpoint.EMBEDDINGS:
        return _embeddings(ask, texts, salt)
    if endpoint is Endpoint.COMPLETIONS:
        return _completions(ask, answered, name, created)
    results = [judged(text) for text in texts]
    return orjson.dumps(
        {"id": f"modr-{name.decode()}", "model": ask.recipe.model.snapshot or "omni-moderation-2024-09-26",
         "results": results}
    )  # fmt: skip


def _chat(ask: Ask, answered: Answer, name: bytes, created: int, whole: bytes) -> bytes:
    content, refusal = _said(answered)
    finish = answered.finish.encode()
    choices = _CHOICE % (0, content, refusal, finish)
    for index in range(1, ask.choices):
        choices += b"," + _CHOICE % (index, content, refusal, finish)
    output = answered.tokens * ask.choices
    return whole % (name, created, ask.recipe.echo, choices, ask.tokens, output, ask.tokens + output)


def _responses(ask: Ask, answered: Answer, name: bytes, created: int, whole: bytes) -> bytes:
    content, refusal = _said(answered)
    cut = answered.finish == "length"
    status = b"incomplete" if cut else b"completed"
    part = _OUTPUT_TEXT % content if answered.refusal is None else _OUTPUT_REFUSAL % refusal
    return whole % (
        name, created, status, b'{"reason":"max_output_tokens"}' if cut else b"null", orjson.dumps(ask.cap),
        ask.recipe.echo,
        name, status, part, ask.tokens, answered.tokens, ask.tokens + answered.tokens,
    )  # fmt: skip


def _said(answered: Answer) -> tuple[bytes, bytes]:
    if answered.refusal is not None:
        return b"null", orjson.dumps(answered.refusal)
    return orjson.dumps(answered.text), b"null"


def _embeddings(ask: Ask, texts: list[str], salt: int) -> bytes:
    dimensions = ask.dimensions or ask.recipe.model.dimensions or 256
    data: list[dict[str, Any]] = []
    for index, text in enumerate(texts):
        values = vectors.vector(text, dimensions, salt)
        shown: Any = vectors.in_base64(values) if ask.base64 else values
        data.append({"object": "embedding", "index": index, "embedding": shown})
    return orjson.dumps(
        {"object": "list", "data": data, "model": ask.recipe.model.snapshot,
         "usage": {"prompt_tokens": ask.tokens, "total_tokens": ask.tokens}}
    )  # fmt: skip


def _completions(ask: Ask, answered: Answer, name: bytes, created: int) -> bytes:
    said = [one for one in (answered, *answered.more) for _ in range(ask.choices)]
    output = answered.tokens * ask.choices
    return orjson.dumps(
        {
            "id": f"cmpl-{name.decode()}",
            "object": "text_completion",
            "created": created,
            "model": ask.recipe.model.snapshot,
            "choices": [
                {"text": one.text, "index": index, "logprobs": None, "finish_reason": one.finish}
                for index, one in enumerate(said)
            ],
            "usage": {
                "prompt_tokens": ask.tokens,
                "completion_tokens": output,
                "total_tokens": ask.tokens + output,
            },
            "system_fingerprint": "simulated",
        }
    )
