"""Counts for one model: the implementation of the port in `base.py`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, assert_never

from nightmail.core.request import Endpoint
from nightmail.tokens.encodings import MARGIN_PERCENT, VOCABULARY, encoding_of
from nightmail.tokens.messages import count_chat, count_parts, count_responses
from nightmail.tokens.reference import Count as TextCount
from nightmail.tokens.tally import Count, Tally
from nightmail.tokens.tokenizer import tokenizer


@lru_cache(maxsize=256)
def counter_for(model: str) -> ModelCounter:
    """The counter of a model; the same object for the same name. Loads nothing before the first count."""
    return ModelCounter(model)


class ModelCounter:
    """Implements `nightmail.tokens.base.Counter`. Several threads may count with one at a time."""

    __slots__ = ("_tokens", "encoding", "exact", "model")

    def __init__(self, model: str) -> None:
        encoding = encoding_of(model)
        self.model = model
        self.encoding = encoding.name
        self.exact = encoding.exact
        self._tokens: TextCount | None = None

    def text(self, text: str) -> int:
        """Tokens of a text as one string value; with the margin if the model's encoding is not known."""
        tokens = (self._tokens or self._load())(text)
        return tokens if self.exact else tokens + -(-tokens * MARGIN_PERCENT // 100)

    def body(self, endpoint: Endpoint, body: dict[str, Any]) -> int:
        """Input tokens of a whole request body."""
        return self.count(endpoint, body).tokens

    def count(self, endpoint: Endpoint, body: Mapping[str, Any]) -> Count:
        """Input tokens of a whole request body, and which parts of it are estimated."""
        tally = Tally(self.model, self.text)
        match endpoint:
            case Endpoint.CHAT:
                count_chat(body, tally)
            case Endpoint.RESPONSES:
                count_responses(body, tally)
            case Endpoint.EMBEDDINGS:
                _add_inputs(body.get("input"), tally)
            case Endpoint.COMPLETIONS:
                _add_inputs(body.get("prompt"), tally)
                _add_inputs(body.get("suffix"), tally)
            case Endpoint.MODERATIONS:
                count_parts(body.get("input"), tally)
            case _:
                assert_never(endpoint)
        return tally.total()

    def inputs(self, endpoint: Endpoint, body: dict[str, Any]) -> int:
        """How many inputs the body counts for against a batch's limit on embedding inputs."""
        if endpoint is not Endpoint.EMBEDDINGS:
            return 1
        given = body.get("input")
        if not isinstance(given, list) or (given and isinstance(given[0], int)):
            return 1
        return len(given)

    def _load(self) -> TextCount:
        self._tokens = tokenizer(VOCABULARY[self.encoding])
        return self._tokens


def _add_inputs(given: Any, tally: Tally) -> None:
    # A text, texts, a text already cut into token numbers, or several of these.
    match given:
        case str():
            tally.text(given)
        case [int(), *_]:
            tally.add(len(given))
        case [*several]:
            for one in several:
                _add_inputs(one, tally)
