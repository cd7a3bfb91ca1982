"""Load the named SQL of one dialect: `shared` first, then the dialect's own file over it.

A query is written `-- name: claim_run`, then a comment saying what it does, then SQL with `:name`
parameters. Shared SQL writes CAST(x AS t), never `x::t`, so that ":" is always a parameter.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

NAMED = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
SQL = files("nightmail.stores") / "sql"


@cache
def load(dialect: str) -> dict[str, str]:
    """Return `{query name: SQL}` for a dialect, `sqlite` for now."""
    found: dict[str, str] = {}
    for folder in ("shared", dialect):
        for path in sorted((SQL / folder).iterdir(), key=lambda each: each.name):
            if not path.name.endswith(".sql"):
                continue
            _, *parts = NAMED.split(path.read_text(encoding="utf-8"))
            names, texts = parts[::2], [text.strip() for text in parts[1::2]]
            if twice := found.keys() & set(names) if folder == "shared" else None:
                raise ValueError(f"{path.name}: query named twice: {sorted(twice)}")
            found |= dict(zip(names, texts, strict=True))
    return found


def migrations(dialect: str) -> list[tuple[int, str]]:
    """The schema's steps `(number, SQL)` in order."""
    folder = SQL / dialect / "migrations"
    named = sorted((path.name, path) for path in folder.iterdir() if path.name.endswith(".sql"))
    return [(int(name[:4]), path.read_text(encoding="utf-8")) for name, path in named]
