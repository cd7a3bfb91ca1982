"""The running total of one request body: tokens so far, and which parts of them are estimates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple


class Estimate(StrEnum):
    """A part of a body whose tokens nobody can count exactly from outside."""

    IMAGE_SIZE = "image of unknown size"  # counted as the largest that the model takes
    IMAGE_MODEL = "image, rule of the model unknown"
    FILE = "file"
    AUDIO = "audio"
    TOOLS = "tools"
    TOOL_CALLS = "tool calls"
    SCHEMA = "schema"
    STORED = "stored at the provider"  # a stored prompt, file, conversation or item: not seen, counts 0
    UNKNOWN_PART = "unknown part"


class Count(NamedTuple):
    """Input tokens of a body, and what of it is estimated (empty: exact by the published rules)."""

    tokens: int
    estimates: frozenset[Estimate]


class Tally:
    """Adds up one body for one model."""

    __slots__ = ("_text", "estimates", "model", "tokens")

    def __init__(self, model: str, text: Callable[[str], int]) -> None:
        self.model = model
        self.tokens = 0
        self.estimates: set[Estimate] = set()
        self._text = text

    def add(self, tokens: int) -> None:
        """Add framing, or anything that is no text."""
        self.tokens += tokens

    def text(self, value: str) -> None:
        """Add one string value."""
        self.tokens += self._text(value)

    def estimated(self, what: Estimate) -> None:
        """Note that something of this kind is in the total."""
        self.estimates.add(what)

    def strings(self, value: Any) -> None:
        """Add every string inside `value`; names of keys, ids and kinds are not text for the model."""
        if isinstance(value, str):
            self.text(value)
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                if key not in _NOT_TEXT:
                    self.strings(inner)
        elif isinstance(value, (list, tuple)):
            for inner in value:
                self.strings(inner)

    def total(self) -> Count:
        """What has been added."""
        return Count(self.tokens, frozenset(self.estimates))


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` if it is an object, else an empty one: a wrong body is counted, and the provider refuses it."""
    return value if isinstance(value, Mapping) else {}


def several(value: Any) -> Sequence[Any]:
    """`value` if it is a list, else nothing."""
    return value if isinstance(value, (list, tuple)) else ()


_NOT_TEXT = frozenset(
    {"type", "id", "call_id", "tool_call_id", "item_id", "file_id", "status", "encrypted_content", "detail"}
)
