"""The endpoints that answer at once: the same model, the same refusals, one request at a time."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response

from nightmail.core.request import Endpoint
from nightmail.simulator import breaking
from nightmail.simulator.answers import Answer, Given, answer
from nightmail.simulator.asks import Ask, Reader, plain_type
from nightmail.simulator.calls import Answering, answer_json, json_body
from nightmail.simulator.catalogue import BY_NAME, Model, model_named, queue_of
from nightmail.simulator.faults import RequestFaults
from nightmail.simulator.parts import Parts
from nightmail.simulator.rates import Rates
from nightmail.simulator.refusal import Refusal
from nightmail.simulator.replies import body_of
from nightmail.simulator.spoiling import REFUSED, line_failure, spoil


class Answers:
    """The routes of the synchronous endpoints; keeps each model's rate limits."""

    def __init__(self) -> None:
        self._rates: dict[str, Rates] = {}
        self._readers = {endpoint: Reader(endpoint) for endpoint in Endpoint}
        self._calls = 0

    def route(self, endpoint: Endpoint) -> Answering:
        """The function that answers one endpoint."""

        async def answering(request: Request, parts: Parts) -> Response:
            return await self._answer(endpoint, request, parts)

        return answering

    async def _answer(self, endpoint: Endpoint, request: Request, parts: Parts) -> Response:
        raw = await request.body()
        ask = self._read(endpoint, raw) or self._readers[endpoint].whole(_whole(await json_body(request)))
        name = ask.recipe.model.name
        if name in parts.settings.unknown_models:
            raise unknown_model(name)
        rates = self._rates.get(queue_of(name))
        if rates is None:
            limits = parts.settings
            rates = Rates(limits.requests_per_minute, limits.tokens_per_minute)
            self._rates[queue_of(name)] = rates
        headers = rates.take(name, ask.tokens, parts.clock.now())
        if ask.refusal is not None:
            refused = ask.refusal
            raise Refusal(
                refused.status, refused.message, type=refused.type, param=refused.param, code=refused.code,
                headers=headers,
            )  # fmt: skip
        flex = ask.tier == "flex" and endpoint in (Endpoint.CHAT, Endpoint.RESPONSES)
        if flex and not ask.recipe.model.flex:
            raise no_flex(name)
        if flex and (fault := parts.struck.find("flex_unavailable", now=parts.clock.now(), model=name)):
            parts.keep_counts()
            raise breaking.flex_unavailable(fault)
        if parts.upstream is not None:
            return await _forwarded(endpoint, raw, parts, headers, name)
        made, failure = self._make(endpoint, ask, parts)
        if failure is not None:
            status, body, _, _ = failure
            if status is None or status < 200:
                await breaking.hang_up(request)
            return answer_json(body, status or 500, headers)
        reply = body_of(
            endpoint, ask, made, secrets.token_hex(14).encode(), int(parts.clock.now()), parts.settings.seed,
            flex=flex,
        )  # fmt: skip
        tier = "flex" if flex else "default"
        parts.state.ledger.book_call(name, tier, ask.tokens, made.tokens * ask.choices)
        return Response(reply, 200, headers, media_type="application/json")

    def _read(self, endpoint: Endpoint, raw: bytes) -> Ask | None:
        plain = plain_type(endpoint)
        if plain is None:
            return None
        try:
            return self._readers[endpoint].plain(msgspec.json.decode(raw, type=plain))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _make(self, endpoint: Endpoint, ask: Ask, parts: Parts) -> tuple[Answer, Any]:
        plan, seed = parts.struck.plan, parts.settings.seed
        self._calls += 1
        given = Given(plan.answers)
        name = ask.recipe.model.name
        faults = RequestFaults(plan, seed, model=name, endpoint=endpoint.value, batch=None)
        attempt = 1
        if faults or given.by_attempt:
            identity = _identity(name, ask.text)
            attempt = parts.lifecycle.attempts.next(identity)
            struck = faults.on(identity, attempt, self._calls)
            failure = line_failure(struck)
            parts.state.ledger.strike(dict.fromkeys(["line_error"] if failure else struck, 1))
            if failure is not None:
                return Answer("", 0), failure
            if "refusal" in struck:
                text = struck["refusal"].message or REFUSED
                return Answer("", ask.recipe.count(text), "stop", text), None
            return spoil(struck, ask, answer(ask, seed, given, attempt)), None
        return answer(ask, seed, given, attempt), None


def _identity(model: str, text: str) -> str:
    # A repaired conversation begins with the same words and is the same request asked again.
    return "sync-" + hashlib.blake2b(f"{model}\x1f{text[:200]}".encode(), digest_size=12).hexdigest()


def _whole(body: dict[str, Any]) -> dict[str, Any]:
    if body.get("stream"):
        raise Refusal(
            400, "Streaming is not offered by the simulator.", param="stream", code="unsupported_value"
        )
    return body


async def _forwarded(
    endpoint: Endpoint, raw: bytes, parts: Parts, headers: dict[str, str], model: str
) -> Response:
    assert parts.upstream is not None
    status, body = await parts.upstream.call(endpoint.value, raw)
    if status == 200:
        usage = (orjson.loads(body) or {}).get("usage") or {}
        parts.state.ledger.book_call(
            model,
            "default",
            int(usage.get("prompt_tokens") or usage.get("input_tokens") or 0),
            int(usage.get("completion_tokens") or usage.get("output_tokens") or 0),
        )
    return Response(body, status, headers, media_type="application/json")


def unknown_model(name: str) -> Refusal:
    """The refusal of a model that does not exist."""
    return Refusal(
        404, f"The model `{name}` does not exist or you do not have access to it.", code="model_not_found"
    )


def no_flex(name: str) -> Refusal:
    """The refusal of a flex call to a model that has only the standard tier."""
    return Refusal(
        400, f"Flex is not available for the model `{name}`.", param="service_tier", code="invalid_value"
    )


async def list_models(request: Request, parts: Parts) -> Response:
    """GET /models"""
    known = [model for name, model in BY_NAME.items() if name not in parts.settings.unknown_models]
    shown = {model.name: _model(model) for model in known} | {
        model.snapshot: _model(msgspec.structs.replace(model, name=model.snapshot)) for model in known
    }
    return answer_json({"object": "list", "data": list(shown.values())})


async def show_model(request: Request, parts: Parts) -> Response:
    """GET /models/{id}"""
    name = request.path_params["model"]
    if name in parts.settings.unknown_models or name not in BY_NAME:
        raise unknown_model(name)
    return answer_json(_model(msgspec.structs.replace(model_named(name), name=name)))


def _model(model: Model) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": model.created, "owned_by": "simulated"}
