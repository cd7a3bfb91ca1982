"""docs/glossary.md names every value that is stored or shown, and no other."""

from __future__ import annotations

import re
from enum import Enum, StrEnum
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from nightmail import core
from nightmail.core.lifecycle import BatchEvent, RequestEvent, RunEvent
from nightmail.telemetry import EventName

DOCS = Path(__file__).parents[2] / "docs"
EVENTS = (RunEvent, BatchEvent, RequestEvent)


def enums_of_core() -> list[type[Enum]]:
    found: dict[str, type[Enum]] = {}
    for module in iter_modules(core.__path__, "nightmail.core."):
        for each in vars(import_module(module.name)).values():
            if (
                isinstance(each, type)
                and issubclass(each, Enum)
                and each.__module__.startswith("nightmail.core")
            ):
                found[each.__name__] = each
    return list(found.values())


VALUES = [*(each for each in enums_of_core() if issubclass(each, StrEnum)), EventName]


def section(title: str) -> str:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    _, _, rest = text.partition(f"\n## {title}\n")
    return rest.partition("\n## ")[0]


@pytest.mark.parametrize("enum", VALUES, ids=lambda enum: enum.__name__)
def test_the_glossary_has_every_value_of_an_enum_and_no_other(enum: type[StrEnum]) -> None:
    told: list[str] = []
    for line in section(enum.__name__).split("\n"):
        if line.startswith("| `"):
            told += re.findall(r"`([^`]+)`", line.split("|")[1])
    assert sorted(told) == sorted(member.value for member in enum)


def test_every_other_enum_is_one_of_the_events() -> None:
    assert {each for each in enums_of_core() if not issubclass(each, StrEnum)} == set(EVENTS)


@pytest.mark.parametrize("events", EVENTS, ids=lambda events: events.__name__)
def test_every_event_is_told_with_its_words(events: type[Enum]) -> None:
    text = (DOCS / "explanation" / "lifecycles.md").read_text(encoding="utf-8")
    for event in events:
        assert f"| `{event.name.lower()}` | {event.value} |" in text


def test_no_word_is_explained_twice() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8").partition("\n## ")[0]
    words = [
        word for line in text.split("\n") if line.startswith("| ") for word in line.split("|")[1].split(", ")
    ]
    assert len({word.strip() for word in words}) == len(words)
