"""How a peer's program ends: its answers as JSON lines, and how many there are."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.1
ENDED = ("completed", "failed", "expired", "cancelled")


def write(given: Namespace, records: int, answers: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Write `(id, answer)` rows to the output, and what the run came to."""
    rows = 0
    with given.output.open("w", encoding="utf-8") as file:
        for key, answer in answers:
            file.write(json.dumps({"id": key, **answer}) + "\n")
            rows += 1
    tell(given, records, rows)


def tell(given: Namespace, records: int, succeeded: int) -> None:
    """Say how many records there were and how many have an answer in the output."""
    told: Path = given.told
    told.write_text(json.dumps({"records": records, "succeeded": succeeded}))


def lines(path: Path) -> int:
    """Lines of a file of JSON lines."""
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
