"""The tests that the pages name, as proof of what they say, are there."""

from __future__ import annotations

import re

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
