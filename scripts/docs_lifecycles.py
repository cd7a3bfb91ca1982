"""Draw the state diagrams of docs/explanation/lifecycles.md from the tables in core/lifecycle.py."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from generated import publish, table

from nightmail.core.lifecycle import (
    BATCH_MOVES,
    REQUEST_MOVES,
    RUN_MOVES,
    BatchEvent,
    RequestEvent,
    RunEvent,
)

NOUNS: list[tuple[str, Mapping[Any, Mapping[Any, Any]], type[Enum]]] = [
    ("Run", RUN_MOVES, RunEvent),
    ("Batch", BATCH_MOVES, BatchEvent),
    ("Request", REQUEST_MOVES, RequestEvent),
]


def diagram(moves: Mapping[Any, Mapping[Any, Any]]) -> str:
    """A Mermaid state diagram: the first state is where it begins, a state without moves is an end."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {next(iter(moves)).value}"]
    for state, row in moves.items():
        together: dict[Any, list[str]] = {}
        for event, after in row.items():
            together.setdefault(after, []).append(event.name.lower())
        lines += [
            f"    {state.value} --> {after.value}: {', '.join(events)}" for after, events in together.items()
        ]
        if not row:
            lines.append(f"    {state.value} --> [*]")
    return "\n".join([*lines, "```"])


def section(noun: str, moves: Mapping[Any, Mapping[Any, Any]], events: type[Enum]) -> str:
    rows = []
    for event in events:
        arrows = [f"{state.value} → {row[event].value}" for state, row in moves.items() if event in row]
        rows.append([f"`{event.name.lower()}`", str(event.value), ", ".join(arrows)])
    return f"## {noun}\n\n{diagram(moves)}\n\n{table(['event', 'what it says', 'moves'], rows)}"


if __name__ == "__main__":
    body = "\n\n".join(section(*noun) for noun in NOUNS)
    publish("docs/explanation/lifecycles.md", body, script=__file__)
