"""The tests that the pages name, as proof of what they say, are there."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from tests.docs.pages import PAGES, ROOT

NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_every_test_that_a_page_names_is_there() -> None:
    lost = []
    for page in PAGES:
        for path, name in NAMED.findall(page.read_text(encoding="utf-8")):
            file = ROOT / path
            text = file.read_text(encoding="utf-8") if file.exists() else ""
            if not text or (name and f"def {name}(" not in text):
                lost.append(f"{page.name}: {path} {name}")
    assert lost == []


@pytest.mark.parametrize(("name", "least"), [("what-happens-when", 50), ("security", 30)])
def test_every_row_of_a_page_of_claims_names_the_test_that_shows_it(name: str, least: int) -> None:
    page = ROOT / "docs" / "explanation" / f"{name}.md"
    lines = page.read_text(encoding="utf-8").split("\n")
    rows = [
        line
        for before, line in pairwise(lines)
        if line.startswith("| ") and not line.startswith("| ---") and before.startswith("| ")
    ]
    assert len(rows) > least
    assert [row for row in rows if not NAMED.search(row.rstrip(" |").rpartition(" | ")[2])] == []
