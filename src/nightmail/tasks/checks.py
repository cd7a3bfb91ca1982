"""Ready-made checks for `Task.check`: each returns if the output is good and raises `Rejected` if not.

    def check(self, output, record):
        checks.non_empty(output, "why")
        checks.found_in(output, record["text"], "quote")

`fields` are names in the output, dotted for nested ones; with none given the output itself is looked at
(a text, a label). A list is looked at item by item. None passes every check but `non_empty`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import Any

from nightmail.errors import Rejected

# What models write when they have nothing to say.
PLACEHOLDERS = frozenset(
    {"n/a", "na", "none", "null", "nil", "unknown", "tbd", "todo", "placeholder", "...", "…", "-", "?",
     "not available", "not specified", "not provided", "not applicable", "no information", "string"}
)  # fmt: skip
_TEMPLATE = re.compile(r"\[(insert|your|add|name|date|placeholder)\b[^\]]*\]|lorem ipsum|\{\{.*?\}\}", re.I)


def non_empty(output: Any, *fields: str) -> None:
    """Each field says something: not None, not an empty list, not a blank text."""
    for name, value in _values(output, fields):
        if value is None or value in ([], {}) or (isinstance(value, str) and not value.strip()):
            raise Rejected(f"{name} is empty; it must say something")


def one_of(output: Any, allowed: Collection[Any], *fields: str) -> None:
    """Each field is one of `allowed`: for choices that only the record knows, which a schema cannot hold."""
    for name, value in _items(output, fields):
        if value not in allowed:
            shown = ", ".join(map(repr, list(allowed)[:20])) + (", ..." if len(allowed) > 20 else "")
            raise Rejected(f"{name} is {value!r:.80}; it must be one of {shown}")


def max_length(output: Any, limit: int, *fields: str) -> None:
    """Each text has at most `limit` characters, or each list at most so many items."""
    for name, value in _values(output, fields):
        if value is not None and len(value) > limit:
            what = "characters" if isinstance(value, str) else "items"
            raise Rejected(f"{name} has {len(value)} {what}; at most {limit} are allowed")


def in_range(output: Any, low: float, high: float, *fields: str) -> None:
    """Each number is from `low` to `high`, both included."""
    for name, value in _items(output, fields):
        if not low <= value <= high:
            raise Rejected(f"{name} is {value}; it must be from {low} to {high}")


def matches(output: Any, pattern: str, *fields: str) -> None:
    """Each text matches the regular expression from beginning to end."""
    for name, value in _items(output, fields):
        if re.fullmatch(pattern, value) is None:
            raise Rejected(f"{name} is {value!r:.80}; it must have the form {pattern}")


def found_in(output: Any, source: str, *fields: str) -> None:
    """Each text stands in `source` word for word: against invented quotations.

    Letter case, the width of spaces and the style of quotation marks and dashes do not count.
    """
    flat = _flat(source)
    for name, value in _items(output, fields):
        if _flat(value) not in flat:
            raise Rejected(f"{name} is {value!r:.200}, which is not in the text; quote it word for word")


def no_placeholder(output: Any, *fields: str) -> None:
    """No text is a stand-in such as "N/A", "unknown", "[insert name]" or "lorem ipsum"."""
    for name, value in _items(output, fields):
        if value.strip().rstrip(".").lower() in PLACEHOLDERS or _TEMPLATE.search(value):
            raise Rejected(f"{name} is {value!r:.80}, a placeholder; give the real value")


_PLAIN = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "–": "-", "—": "-"}
)


def _flat(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).translate(_PLAIN).casefold().split())


def _values(output: Any, fields: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if not fields:
        yield "the answer", output
    for name in fields:
        value = output
        for part in name.split("."):
            value = value[part] if isinstance(value, dict) else getattr(value, part)
        yield f"`{name}`", value


def _items(output: Any, fields: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, value in _values(output, fields):
        if isinstance(value, (list, tuple, set)):
            yield from ((f"{name}, item {at}", item) for at, item in enumerate(value, 1) if item is not None)
        elif value is not None:
            yield name, value
