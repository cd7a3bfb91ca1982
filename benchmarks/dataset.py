"""The input of a benchmark: JSON lines of about 1 KB, the same on every machine and every time."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

SEED = 1848
CHARACTERS = 900  # of text in a record; with the key and the field names about 1 KB
SUBJECTS = {
    "admin": "daemon logs backup cron users quota mount disk service restart monitor configuration",
    "devel": "compiler library headers debugger build linker symbols bindings interface documentation",
    "editors": "editor buffer syntax highlighting cursor macros undo window plugin keymap",
    "games": "chess puzzle arcade level score player board sprite adventure opponent",
    "math": "matrix algebra theorem numerical solver integer polynomial statistics plot",
    "net": "socket packet router proxy protocol bandwidth firewall sniffer resolver tunnel",
    "python": "module interpreter decorator wheel coroutine package dictionary iterator",
    "other": "archive image audio calendar recipe weather printer translation font",
}
COMMON = (
    "a the of for and with in which that is to on from by this small fast simple portable complete "
    "tool program system user data file command version support several different written provides"
)


def texts(count: int, characters: int = CHARACTERS) -> Iterator[tuple[str, str]]:
    """`(subject, text)` of so many records: words of one subject among common ones."""
    chance = random.Random(SEED)
    subjects = {name: words.split() for name, words in SUBJECTS.items()}
    names, common = list(subjects), COMMON.split()
    for _ in range(count):
        subject = chance.choice(names)
        # Two in five words are of the subject; drawn at once, which is ten times as fast as one by one.
        pool = subjects[subject] * 3 + common * 2
        words = " ".join(chance.choices(pool, k=characters // 6))
        yield subject, words[:characters]


def write(path: Path, count: int, characters: int = CHARACTERS) -> int:
    """Write the input with `count` records of so long a text; its bytes."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number, (subject, text) in enumerate(texts(count, characters), 1):
            record = {"id": f"package-{number:07}", "source": subject, "description": text}
            file.write(json.dumps(record) + "\n")
        return file.tell()
