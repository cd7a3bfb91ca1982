"""The job that every program does: file a software package into a section, and say why.

Only the standard library: programs in other environments import this too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MODEL = "gpt-4o-mini"
SYSTEM = "You file software packages into the sections of an archive."
QUESTION = "Which section does this package belong to?\n\n"
LABELS = ("admin", "devel", "editors", "games", "math", "net", "other", "python")
NAME = "Filed"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"section": {"type": "string", "enum": list(LABELS)}, "why": {"type": "string"}},
    "required": ["section", "why"],
    "additionalProperties": False,
}
RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": NAME, "schema": SCHEMA, "strict": True},
}


def messages(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The conversation that asks about one record."""
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": QUESTION + record["description"]},
    ]


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a JSONL file: `id`, `source`, `description`."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield json.loads(line)


def arguments(about: str | None) -> argparse.ArgumentParser:
    """The command line of every program of the benchmarks."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="JSON lines")
    parser.add_argument("--output", type=Path, required=True, help="the answers")
    parser.add_argument("--home", type=Path, required=True, help="a folder for everything else")
    parser.add_argument("--base-url", required=True, help="the provider; ends in /v1")
    parser.add_argument("--told", type=Path, required=True, help="what the run came to, as JSON")
    return parser
