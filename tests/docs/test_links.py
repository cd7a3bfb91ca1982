"""Links lead somewhere, and every page can be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, links_of


def slug_of(heading: str) -> str:
    """A heading as it is named in links."""
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "-_")


IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_link_within_the_repository_leads_to_a_file(page: Path) -> None:
    local = [link.partition("#")[0] for link in links_of(page) if "://" not in link]
    assert [link for link in local if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_anchor_is_a_heading(page: Path) -> None:
    for link in links_of(page):
        target, _, anchor = link.partition("#")
        if anchor and "://" not in link:
            text = (page.parent / target if target else page).read_text(encoding="utf-8")
            headings = [line.lstrip("#").strip() for line in text.split("\n") if line.startswith("#")]
            assert anchor in [slug_of(heading) for heading in headings]


def test_every_page_is_linked_from_the_index() -> None:
    docs = ROOT / "docs"
    linked = {(docs / link).resolve() for link in links_of(docs / "index.md")}
    pages = {page.resolve() for page in docs.rglob("*.md")} - {(docs / "index.md").resolve()}
    assert {page.name for page in pages - linked} == set()
