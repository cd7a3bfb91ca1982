"""The tasks of the rehearsal. Each fails in its own way when an answer is spoilt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import nightmail


@dataclass
class Filed:
    """Where a text belongs."""

    section: Literal["games", "science", "network", "music", "other"]
    why: str


class Labels(nightmail.Task):
    """Which section does a text belong to? A structured output, with a check that has it repaired."""

    model = "gpt-4o-mini"
    system = "You file short texts."
    output = Filed

    def build(self, record: Any) -> str:
        return f"File this text:\n{record['text']}"

    def check(self, output: Any, record: Any) -> None:
        if not output.why.strip():
            raise nightmail.Rejected("give a reason in `why`")


class Words(nightmail.Task):
    """What is a text about? Plain text, and refusals are asked again."""

    model = "gpt-4.1-nano"
    output = None
    on_refusal = "retry"

    def build(self, record: Any) -> str:
        return f"Say in one sentence what this is about:\n{record['text']}"
