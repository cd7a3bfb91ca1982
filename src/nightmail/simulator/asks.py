"""A request body, read: what is asked of the model, how many tokens it is, or why it is refused.

Two ways lead to the same `Ask`. Plain bodies, which are nearly all of a batch, are decoded straight
into a struct and share a `Recipe`: everything about them but the user's text. Any other body is
decoded into Python values and checked parameter by parameter, which also finds the provider's own
words for what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from nightmail.core.request import Endpoint
from nightmail.simulator import bodies, schemas
from nightmail.simulator.catalogue import Model, model_named
from nightmail.simulator.counting import counter
from nightmail.simulator.formats import TEXT, Form, chat_form, responses_form
from nightmail.simulator.refusal import Refusal
from nightmail.simulator.schemas import Material

_MAX_RECIPES = 4_096
_NO_LIMIT = 2**62


class Recipe:
    """What requests have in common that differ in the user's text alone."""

    __slots__ = ("count", "echo", "fixed", "json", "make", "max_output", "model", "refusal", "window")

    def __init__(self, model: Model, count: Callable[[str], int], form: Form) -> None:
        self.model = model
        self.echo = msgspec.json.encode(model.snapshot)  # the model's name as a reply shows it
        self.window = _NO_LIMIT if model.window is None else model.window
        self.max_output = _NO_LIMIT if model.max_output is None else model.max_output
        self.count = count
        self.json = form.json
        self.fixed = 0
        self.make: Callable[[Material], Any] | None = None
        self.refusal: Refusal | None = None
        if form.schema is not None:
            try:
                self.make = _compiled(msgspec.json.encode(form.schema))
            except (ValueError, TypeError, AttributeError) as error:
                self.refusal = Refusal(
                    400,
                    f"Invalid schema for response_format: {error}.",
                    param="response_format",
                    code="invalid_json_schema",
                )


@lru_cache(maxsize=256)
def _compiled(schema: bytes) -> Callable[[Material], Any]:
    return schemas.compiled(msgspec.json.decode(schema))


class Ask:
    """One request as the model sees it. `texts` holds the inputs where an endpoint takes several."""

    # As they are in nearly every ask.
    texts: list[str] | None = None
    choices = 1
    generates = True
    dimensions: int | None = None
    base64 = False
    tier = "default"

    def __init__(self, recipe: Recipe, text: str, tokens: int, cap: int | None = None) -> None:
        self.recipe = recipe
        self.text = text
        self.tokens = tokens
        self.cap = cap
        self.refusal = recipe.refusal
        if tokens > recipe.window or (cap is not None and cap > recipe.max_output):
            self.refusal = recipe.refusal or _over_limits(recipe.model, tokens, cap)

    def saying(self, text: str, tokens: int | None = None) -> Ask:
        """The ask of a plain body that differs from this one's in its text alone."""
        recipe = self.recipe
        ask = Ask(recipe, text, recipe.fixed + recipe.count(text) if tokens is None else tokens, self.cap)
        if self.tier != "default":
            ask.tier = self.tier
        return ask


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: str
    content: str


class _Chat(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    model: str
    messages: list[_Message]
    response_format: msgspec.Raw = msgspec.Raw(b"")
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    service_tier: str | None = None


class _Responses(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    model: str
    input: str
    instructions: str | None = None
    text: msgspec.Raw = msgspec.Raw(b"")
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    service_tier: str | None = None


class Reader:
    """Reads bodies of one endpoint. Not shared between threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._recipes: dict[tuple[object, ...], Recipe] = {}

    def plain(self, body: _Chat | _Responses, tokens: int | None = None) -> Ask | None:
        """The ask of a plain body; None if it is not so plain after all and `whole` must read it.

        `tokens` spares the counting where they were counted before.
        """
        if isinstance(body, _Chat):
            text: str | None = None
            surrounding: list[tuple[str, str] | None] = []
            for message in body.messages:
                if message.role == "user" and text is None:
                    text = message.content
                    surrounding.append(None)
                elif message.role in ("system", "developer"):
                    surrounding.append((message.role, message.content))
                else:
                    return None
            cap = body.max_completion_tokens
            if text is None or body.max_tokens is not None or (cap is not None and cap < 1):
                return None
            key: tuple[object, ...] = (body.model, bytes(body.response_format), *surrounding)
        else:
            text, cap = body.input, body.max_output_tokens
            if cap is not None and cap < 1:
                return None
            key = (body.model, bytes(body.text), body.instructions)
        if body.temperature is not None or body.top_p is not None:
            key = (*key, body.temperature, body.top_p)
        if body.service_tier not in (None, "flex"):
            return None
        recipe = self._recipes.get(key)
        if recipe is None:
            recipe = self._recipe_of(msgspec.to_builtins(_without_text(body)))
            if len(self._recipes) >= _MAX_RECIPES:
                self._recipes.clear()
            self._recipes[key] = recipe
        ask = Ask(recipe, text, recipe.fixed + recipe.count(text) if tokens is None else tokens, cap)
        if body.service_tier is not None:
            ask.tier = body.service_tier
        return ask

    def _recipe_of(self, body: dict[str, Any]) -> Recipe:
        ask = self.whole(body)
        ask.recipe.fixed = ask.tokens
        ask.recipe.refusal = ask.refusal
        return ask.recipe

    def whole(self, body: dict[str, Any], tokens: int | None = None) -> Ask:
        """The ask of any body; one that the provider would refuse has its `refusal` set."""
        name = body.get("model")
        model = model_named(name if isinstance(name, str) else "")
        count = counter(model.name).text
        try:
            bodies.check(self.endpoint, body, model)
            form = self._form(body)
            text, texts = bodies.texts_of(self.endpoint, body)
            if tokens is None:
                tokens = counter(model.name).body(self.endpoint, body)
        except Refusal as refusal:
            return self._refused(body, model, refusal)
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            # Deep inside a parameter (a tool, a content part) something has a type that nobody looks for.
            spoken = Refusal(400, f"The body of the request cannot be read: {error}.", code="invalid_type")
            return self._refused(body, model, spoken)
        ask = Ask(Recipe(model, count, form), text, tokens, bodies.cap_of(self.endpoint, body))
        ask.texts = texts
        ask.generates = self.endpoint not in (Endpoint.EMBEDDINGS, Endpoint.MODERATIONS)
        ask.choices = body.get("n") or 1
        ask.dimensions = body.get("dimensions")
        ask.tier = "flex" if body.get("service_tier") == "flex" else "default"
        ask.base64 = body.get("encoding_format") == "base64"
        return ask

    def _refused(self, body: dict[str, Any], model: Model, refusal: Refusal) -> Ask:
        count = counter(model.name).text
        ask = Ask(Recipe(model, count, TEXT), "", count(msgspec.json.encode(body).decode()))
        ask.refusal = refusal
        return ask

    def _form(self, body: dict[str, Any]) -> Form:
        if self.endpoint is Endpoint.CHAT:
            return chat_form(body.get("response_format"))
        if self.endpoint is Endpoint.RESPONSES:
            return responses_form(body.get("text"))
        return TEXT


def plain_type(endpoint: Endpoint) -> type[_Chat] | type[_Responses] | None:
    """The struct that plain bodies of an endpoint fit, if it has one."""
    return {Endpoint.CHAT: _Chat, Endpoint.RESPONSES: _Responses}.get(endpoint)  # type: ignore[return-value]


def _without_text(body: _Chat | _Responses) -> dict[str, Any]:
    if isinstance(body, _Chat):
        messages = [
            {"role": message.role, "content": "" if message.role == "user" else message.content}
            for message in body.messages
        ]
        kept: dict[str, Any] = {"model": body.model, "messages": messages}
        form, raw = "response_format", body.response_format
    else:
        kept = {"model": body.model, "input": ""}
        if body.instructions is not None:
            kept["instructions"] = body.instructions
        form, raw = "text", body.text
    for name in ("temperature", "top_p"):
        if (value := getattr(body, name)) is not None:
            kept[name] = value
    if bytes(raw):
        kept[form] = msgspec.json.decode(raw)
    return kept


def _over_limits(model: Model, tokens: int, cap: int | None) -> Refusal:
    if cap is not None and model.max_output is not None and cap > model.max_output:
        return Refusal(
            400,
            f"max_tokens is too large: {cap}. This model supports at most {model.max_output} completion "
            f"tokens, whereas you provided {cap}.",
            param="max_tokens",
            code="invalid_value",
        )
    return Refusal(
        400,
        f"This model's maximum context length is {model.window} tokens. However, your messages "
        f"resulted in {tokens} tokens. Please reduce the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    )
