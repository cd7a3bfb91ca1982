"""The job as a task of nightmail: a label out of eight and a sentence, as a structured output."""

from __future__ import annotations

from typing import Any, Literal

import job
import msgspec

import nightmail


class Filed(msgspec.Struct):
    section: Literal[job.LABELS]  # type: ignore[valid-type]
    why: str


class Sections(nightmail.Task):
    """Which section of the archive does a package belong to?"""

    model = job.MODEL
    system = job.SYSTEM
    output = Filed

    def build(self, record: dict[str, Any]) -> str:
        return job.QUESTION + record["description"]
