"""The task of the benchmark: a label out of eight and a sentence, as a structured output."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

import nightmail

Label = Literal["admin", "devel", "editors", "games", "math", "net", "python", "other"]


class Filed(msgspec.Struct):
    section: Label
    why: str


class Sections(nightmail.Task):
    """Which section of the archive does a package belong to?"""

    model = "gpt-4o-mini"
    system = "You file software packages into the sections of an archive."
    output = Filed

    def build(self, record: dict[str, Any]) -> str:
        return f"Which section does this package belong to?\n\n{record['description']}"
