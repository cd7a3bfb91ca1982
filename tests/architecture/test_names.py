"""Names that say nothing are not used, and what is public is a checked list."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nightmail

SOURCE = Path(__file__).parents[2] / "src" / "nightmail"
MODULES = sorted(SOURCE.rglob("*.py"))
DRAWERS = {
    "utils", "util", "helpers", "helper", "common", "misc", "types", "constants", "manager", "managers",
    "shared", "core_utils",
}  # fmt: skip
EMPTY_CLASS = re.compile(r"^(Base|Abstract)[A-Z]|(Manager|Handler|Helper|Processor)$|^(Base|Utils|Common)$")
PUBLIC = [
    "AuthenticationFailed",
    "BillingBlocked",
    "Client",
    "ConfigError",
    "DiskFull",
    "NightmailError",
    "ProviderError",
    "Rejected",
    "Run",
    "RunChanged",
    "SinkError",
    "SourceError",
    "StoreError",
    "Task",
    "TaskError",
    "image",
    "run",
    "start",
]
HEAVY = {
    "pyarrow", "openai", "pydantic", "pandas", "polars", "gigatoken", "quicktok", "tiktoken", "numpy",
    "httpx", "starlette", "uvicorn", "typer", "rich", "jsonschema_rs", "sqlite3", "asyncio",
}  # fmt: skip


def test_there_are_no_drawer_modules() -> None:
    parts = {part for path in MODULES for part in path.relative_to(SOURCE).with_suffix("").parts}
    assert parts & DRAWERS == set()


def test_no_class_is_named_after_what_it_is_not() -> None:
    wrong = [
        f"{path.relative_to(SOURCE)}: {node.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and EMPTY_CLASS.search(node.name)
    ]
    assert wrong == []


def test_every_module_says_what_it_decides() -> None:
    silent = [
        str(path.relative_to(SOURCE))
        for path in MODULES
        if path.stat().st_size and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []


def test_the_public_names_are_these() -> None:
    assert sorted(nightmail.__all__) == nightmail.__all__
    assert nightmail.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(nightmail, name).__doc__


def test_what_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Manager"):
        nightmail.Manager  # noqa: B018


def test_importing_nightmail_is_light() -> None:
    code = "import sys, nightmail; print(*sorted(name for name in sys.modules if '.' not in name))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(loaded.stdout.split()) == set()


def test_importing_a_task_s_file_is_light() -> None:
    """A worker process starts with this; what it needs beyond comes when it is used."""
    code = (
        "import sys, nightmail\nclass Mine(nightmail.Task):\n    model = 'm'\n"
        "print(*sorted(name for name in sys.modules if '.' not in name))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"pyarrow", "openai", "pydantic", "pandas", "polars", "numpy"} & set(
        loaded.stdout.split()
    ) == set()
