"""The demo's task: what is a docstring of the standard library about?"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

import nightmail

MAX_WHY = 110

Label = Literal[
    "networking, http and sockets",
    "text, strings and encodings",
    "files, paths and archives",
    "numbers, dates and collections",
    "threads, processes and asyncio",
    "modules, code and tests",
    "email, html and xml",
    "logging, os and system",
    "tkinter and turtle windows",
]


class Answer(msgspec.Struct, forbid_unknown_fields=True):
    """The topic, and the words of the docstring that decided it."""

    topic: Label
    why: str


class Topics(nightmail.Task):
    """What is a docstring of the standard library about?"""

    model = "gpt-4o-mini"
    system = "You sort the documentation of Python's standard library by topic."
    output = Answer
    max_output_tokens = 200

    def build(self, record: Any) -> str:
        return f"{record['docstring']}\n\n({record['id']})"

    def check(self, output: Any, record: Any) -> None:
        if len(output.why) > MAX_WHY:
            raise nightmail.Rejected(f"Quote at most {MAX_WHY} characters in `why`.")
