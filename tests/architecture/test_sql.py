"""Named SQL and the code that uses it agree, and the schema's lists are the enums."""

from __future__ import annotations

import ast
import re
import sqlite3
from collections.abc import Collection, Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import pytest

from nightmail.core.batch import BatchState
from nightmail.core.request import Mode, RequestState
from nightmail.core.run import KeyKind, PauseReason, RunState, Wish
from nightmail.core.scope import Scope
from nightmail.stores.queries import load, migrations

STORES = Path(__file__).parents[2] / "src" / "nightmail" / "stores"
QUERIES = load("sqlite")
PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)\b")
CALLS = {"run", "insert", "rows", "each", "row", "many"}


class Use(NamedTuple):
    """One call of a named query: `parameters` is None where they are handed over as a mapping."""

    name: re.Pattern[str]
    bulk: bool
    parameters: set[str] | None
    place: str


def uses() -> Iterator[Use]:
    """Every `tx.row("name", ...)` and the like in the stores; `f"delete_{table}"` is a pattern."""
    for path in sorted(STORES.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            if node.func.attr not in CALLS or not isinstance(node.args[0], ast.Constant | ast.JoinedStr):
                continue
            keywords = {word.arg for word in node.keywords}
            yield Use(
                re.compile(_pattern(node.args[0])),
                node.func.attr == "many",
                None if None in keywords else {word for word in keywords if word},
                f"{path.name}:{node.lineno}",
            )


def _places(sql: str) -> int:
    """How many values a bulk statement takes for each row: one for each ?, or up to the highest ?9."""
    numbered = re.findall(r"\?(\d+)", sql)
    return max(map(int, numbered)) if numbered else sql.count("?")


def _pattern(name: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(name, ast.Constant):
        return re.escape(str(name.value))
    return "".join(
        re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"\w+" for part in name.values
    )


def code_of(sql: str) -> str:
    return "\n".join(line for line in sql.split("\n") if not line.startswith("--"))


USES = list(uses())


@pytest.mark.parametrize("use", USES, ids=lambda use: use.place)
def test_every_call_names_a_query_and_gives_it_its_parameters(use: Use) -> None:
    called = [name for name in QUERIES if use.name.fullmatch(name)]
    assert called, f"there is no query like {use.name.pattern}"
    for name in called:
        sql = code_of(QUERIES[name])
        if use.bulk:
            assert PARAMETER.findall(sql) == []
            assert "?" in sql
        elif use.parameters is not None:
            assert set(PARAMETER.findall(sql)) == use.parameters


def test_every_query_is_used() -> None:
    assert [name for name in QUERIES if not any(use.name.fullmatch(name) for use in USES)] == []


def test_every_query_is_legal_in_the_schema() -> None:
    database = made()
    for name, sql in QUERIES.items():
        parameters = dict.fromkeys(PARAMETER.findall(code_of(sql)))
        try:
            # EXPLAIN compiles the statement and runs nothing.
            database.execute(f"EXPLAIN {code_of(sql)}", parameters or [None] * _places(sql))
        except sqlite3.Error as error:
            pytest.fail(f"{name}: {error}")
    database.close()


CHECKED: dict[tuple[str, str], Collection[str]] = {
    ("runs", "state"): set(RunState),
    ("runs", "pause_reason"): set(PauseReason),
    ("runs", "wish"): set(Wish),
    ("runs", "key_kind"): set(KeyKind),
    ("api_keys", "scope"): set(Scope),
    ("requests", "state"): set(RequestState),
    ("batches", "state"): set(BatchState),
    # A batch has been given its mode; `auto` is only a wish.
    ("batches", "mode"): set(Mode) - {Mode.AUTO},
}


def made() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    for _, sql in migrations("sqlite"):
        database.executescript(sql)
    return database


@pytest.mark.parametrize(("table", "column"), CHECKED)
def test_the_list_in_the_schema_is_the_enum(table: str, column: str) -> None:
    database = made()
    (sql,) = database.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    database.close()
    listed = rf"{column} IN \([^)]*\)|(?:{column} = '\w+'(?:\s+OR\s+)?)+"
    found = re.search(rf"^\s*{column}\s+TEXT[^,]*?CHECK\s*\(({listed})\)", sql, re.MULTILINE)
    assert found
    assert set(re.findall(r"'(\w+)'", found[1])) == {str(value) for value in CHECKED[table, column]}


def test_the_finished_states_of_the_schema_are_the_final_ones() -> None:
    sql = " ".join(sql for _, sql in migrations("sqlite"))
    assert "CHECK ((state IN ('finished', 'cancelled')) = (finished_at IS NOT NULL))" in sql


def test_migrations_are_numbered_without_a_gap() -> None:
    numbers = [number for number, _ in migrations("sqlite")]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("enum", [RunState, RequestState, BatchState], ids=lambda enum: enum.__name__)
def test_state_names_are_stored_as_they_are_written(enum: type[StrEnum]) -> None:
    assert all(member.value == member.name.lower() for member in enum)
