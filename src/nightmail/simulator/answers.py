"""The built-in model: what it answers to an ask. Honest about being simulated, and always the same.

Structured outputs get a value that fits their schema, JSON mode an object, everything else the first
sentences of what the user said. Answers given by the user of the simulator come first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from nightmail.simulator.asks import Ask
from nightmail.simulator.schemas import Material


class Answer(NamedTuple):
    """`tokens` of output, `more` included; `finish` is chat's word: stop or length.

    `more` holds the answers to further prompts of a completions request.
    """

    text: str
    tokens: int
    finish: str = "stop"
    refusal: str | None = None
    more: tuple[Answer, ...] = ()


NO_ANSWER = Answer("", 0)


class Given:
    """Answers by a piece of the user's text: a value, or a list of one per attempt (the last stays)."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = dict(answers)

    def __bool__(self) -> bool:
        return bool(self._answers)

    @property
    def by_attempt(self) -> bool:
        """Whether anything depends on how often a request was made before."""
        return any(isinstance(answer, list) for answer in self._answers.values())

    def to(self, text: str, attempt: int) -> str | None:
        """The answer to the first piece that is in the text, or None."""
        for piece, given in self._answers.items():
            if piece in text:
                answer = given[min(attempt, len(given)) - 1] if isinstance(given, list) and given else given
                return answer if isinstance(answer, str) else orjson.dumps(answer).decode()
        return None


NOTHING_GIVEN = Given({})


def answer(ask: Ask, seed: int, given: Given = NOTHING_GIVEN, attempt: int = 1) -> Answer:
    """The model's answer, cut at the ask's output cap as a real one would be.

    Nothing is said to a request that asks for numbers: embeddings and moderations.
    """
    if not ask.generates:
        return NO_ANSWER
    made = _answer_to(ask, ask.text, seed, given, attempt)
    if ask.texts is None or len(ask.texts) < 2:
        return made
    more = tuple(_answer_to(ask, text, seed, given, attempt) for text in ask.texts[1:])
    return made._replace(tokens=made.tokens + sum(one.tokens for one in more), more=more)


def _answer_to(ask: Ask, said: str, seed: int, given: Given, attempt: int) -> Answer:
    recipe = ask.recipe
    text = given.to(said, attempt) if given else None
    if text is None:
        material = Material(said, seed)
        if recipe.make is not None:
            text = orjson.dumps(recipe.make(material)).decode()
        elif recipe.json:
            text = orjson.dumps({"answer": material.sentence(0)}).decode()
        else:
            text = _plain(material)
    tokens = recipe.count(text)
    if ask.cap is None or tokens <= ask.cap:
        return Answer(text, tokens)
    return _cut(text, ask.cap, recipe.count)


def _cut(text: str, cap: int, count: Callable[[str], int]) -> Answer:
    # The longest beginning that has no more tokens than the cap: counts grow with length, nearly always.
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if count(text[:middle]) <= cap:
            low = middle
        else:
            high = middle - 1
    return Answer(text[:low], count(text[:low]), "length")


def _plain(material: Material) -> str:
    first = material.sentence(0)
    if len(first) >= len(material.text.strip()) or not first:
        return first or "(nothing was said)"
    second = material.sentence(1)
    return first if second == first or len(first) > 160 else f"{first} {second}"
