"""Who may import whom: the contracts in pyproject.toml hold, and they catch what they are there for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on a copy of the repository: source and contracts."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def plant(folder: Path, module: str, line: str) -> None:
    """Copy the repository's source and add a line to one module of the copy (made if it is not there)."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    path = folder / "src" / "nightmail" / module
    path.parent.mkdir(exist_ok=True)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(f"{before}\n{line}\n", encoding="utf-8")


def test_every_contract_holds() -> None:
    checked = lint(ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("core/polling.py", "import time", "The core is sans-IO"),
        pytest.param(
            "stages/poll.py",
            "from nightmail.providers.openai import adapter",
            "The engine knows protocols",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            "remote/calls.py",
            "from nightmail.stores import sqlite",
            "has no home",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            "providers/openai/connection.py",
            "from openai import AsyncOpenAI",
            "The official client is a reference",
            marks=pytest.mark.exhaustive,
        ),
        ("utils/__init__.py", "", "marked as 'exhaustive'"),
    ],
    ids=[
        "a clock in the core",
        "a stage that knows a provider",
        "a twin with a home",
        "an official client",
        "a new drawer",
    ],
)
def test_a_planted_violation_is_caught(tmp_path: Path, module: str, line: str, contract: str) -> None:
    plant(tmp_path, module, line)
    checked = lint(tmp_path)
    assert checked.returncode != 0
    assert contract in checked.stdout + checked.stderr
