"""Read the pages: their links, their files, and the commands that are to be tried.

A block is marked by an HTML comment on the line above its fence, which no reader sees:
`<!-- file: NAME -->` writes it, `<!-- test -->` runs its lines that begin with `$ `, `<!-- test exit=2 -->`
expects that exit code of the last, `<!-- test background -->` leaves them running, and `NAME=value` in
the mark is added to the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>(?:test|file)\b[^>]*?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)
PORT = "8687"


class Step(NamedTuple):
    """A marked block, in the order of its page."""

    kind: str  # file, run or background
    name: str
    text: str
    exit_code: int
    environment: dict[str, str]
    line: int


def steps_of(page: Path) -> list[Step]:
    text = page.read_text(encoding="utf-8")
    found = []
    for block in BLOCK.finditer(text):
        line = text[: block.start("text")].count("\n") + 1
        mark = block["mark"]
        if mark is None:
            continue
        if mark.startswith("file:"):
            found.append(Step("file", mark.removeprefix("file:").strip(), block["text"], 0, {}, line))
            continue
        words = mark.split()[1:]
        settings = dict(word.split("=", 1) for word in words if "=" in word)
        code = int(settings.pop("exit", "0"))
        kind = "background" if "background" in words else "run"
        found.append(Step(kind, "", commands_of(block["text"]), code, settings, line))
    return found


def commands_of(text: str) -> str:
    """The lines that begin with `$ `, each with those behind it that its open quotation marks reach over."""
    found: list[str] = []
    is_open = False
    for line in text.split("\n"):
        if is_open:
            found[-1] += f"\n{line}"
        elif line.startswith("$ "):
            found.append(line[2:])
        else:
            continue
        is_open = found[-1].count("'") % 2 == 1
    return "\n".join(found)


def unmarked(page: Path) -> list[str]:
    """The commands of a page that no test runs."""
    text = page.read_text(encoding="utf-8")
    blocks = (block for block in BLOCK.finditer(text) if block["kind"] == "console" and block["mark"] is None)
    return [commands_of(block["text"]) for block in blocks]


def links_of(page: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    yield from re.findall(r"\[[^\]]+\]\(([^)\s]+)\)", text)
