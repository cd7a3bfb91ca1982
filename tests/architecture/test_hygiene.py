"""What must not be in the repository: a machine's own paths, and the hosts of package registries."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOP = ("src", "tests", "docs", "scripts", "examples", "benchmarks", ".ci")
TEXTS = {
    ".py", ".md", ".toml", ".sql", ".json", ".jsonl", ".cfg", ".ini", ".yml", ".yaml", ".txt", "",
}  # fmt: skip
# Written in pieces, so that this file passes its own test.
HOSTS = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "com"))]
HOMES = re.compile("/(?:" + "|".join(("home", "Users", "root", "mnt")) + r")/[a-z]\w*")
EXAMPLE_HOMES = ("/home/you", "/home/me")


def texts() -> Iterator[tuple[str, str]]:
    files = [path for path in ROOT.iterdir() if path.is_file()]
    files += [path for name in TOP for path in (ROOT / name).rglob("*") if path.is_file()]
    for path in files:
        if path.suffix in TEXTS and "__pycache__" not in path.parts:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8", errors="replace")


def test_no_file_names_a_package_registry() -> None:
    assert [f"{name}: {host}" for name, text in texts() for host in HOSTS if host in text] == []


def test_no_file_has_a_path_of_somebody_s_machine() -> None:
    found = [
        f"{name}: {match}"
        for name, text in texts()
        for match in HOMES.findall(text)
        if match not in EXAMPLE_HOMES
    ]
    assert found == []
    here = str(ROOT)
    assert [name for name, text in texts() if here in text] == []


def test_no_file_names_the_person_or_the_secret() -> None:
    user = getpass.getuser()
    named = re.compile(rf"/{re.escape(user)}/|{re.escape(user)}@")
    secret = re.compile("sk-" + r"(?:proj-)?[A-Za-z0-9]{32,}")
    assert [name for name, text in texts() if named.search(text) or secret.search(text)] == []
