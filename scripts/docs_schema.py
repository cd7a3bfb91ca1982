"""Print the tables of docs/reference/schema.md from the database that the migrations make."""

from __future__ import annotations

import re
import sqlite3

from generated import publish

from nightmail.stores.queries import migrations

# The comment that stands directly above a CREATE TABLE in a migration is the table's description.
COMMENTED = re.compile(r"((?:^-- .*\n)+)CREATE TABLE (\w+)", re.MULTILINE)


def comments(sql: str) -> dict[str, str]:
    return {
        name: " ".join(line.removeprefix("-- ") for line in text.splitlines())
        for text, name in COMMENTED.findall(sql)
    }


def body() -> str:
    """Every table with its description, its definition and its indexes."""
    steps = migrations("sqlite")
    described: dict[str, str] = {}
    database = sqlite3.connect(":memory:")
    for _, sql in steps:
        described |= comments(sql)
        database.executescript(sql)
    parts = [f"Schema version {steps[-1][0]} (`PRAGMA user_version`)."]
    tables = database.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    )
    for name, definition in tables.fetchall():
        indexes = database.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL "
            "ORDER BY rowid",
            (name,),
        )
        code = ";\n\n".join([definition, *(index for (index,) in indexes)])
        lead = f"{described[name]}\n\n" if name in described else ""
        parts.append(f"## {name}\n\n{lead}```sql\n{code};\n```")
    database.close()
    return "\n\n".join(parts)


if __name__ == "__main__":
    publish("docs/reference/schema.md", body(), script=__file__)
