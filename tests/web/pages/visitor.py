"""A browser without scripts: reads pages, finds the forms in them, sends them."""

from __future__ import annotations

import html
import re

import httpx2

from tests.web.desk import HOST, Office

HTML = {"Accept": "text/html"}


async def sign_in(office: Office, key: str) -> httpx2.Response:
    return await office.post("/sign-in", data={"key": key}, headers={"Origin": HOST})


async def look(office: Office, path: str) -> str:
    """A page, which must be there."""
    answer = await office.get(path, headers=HTML)
    assert answer.status_code == 200, answer.text
    return answer.text


def form_token(page: str) -> str:
    return re.findall(r'name="form_token" value="([0-9a-f]{64})"', page)[0]


def actions(page: str) -> set[str]:
    """Where the page's forms lead."""
    return set(re.findall(r'<form method="post" action="([^"]+)"', page))


async def press(office: Office, page: str, action: str, **fields: str) -> httpx2.Response:
    """Send the form of a page that leads there."""
    assert action in actions(page)
    return await office.post(
        action, data={"form_token": form_token(page), **fields}, headers={**HTML, "Origin": HOST}
    )


def words(page: str) -> str:
    """What a reader reads: without marks, in one line."""
    text = re.sub(r"<(script|style|svg).*?</\1>|<[^>]+>", " ", page, flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(text)).strip()


def part(page: str, name: str) -> str:
    """The words of the element with this id, up to the next part."""
    found = re.search(rf'<(\w+) id="{name}".*?</\1>', page, flags=re.S)
    assert found, f"there is no {name}"
    return words(found[0])
