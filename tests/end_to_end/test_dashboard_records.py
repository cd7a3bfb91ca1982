"""The pages that answer a person, in a real browser over a real service: from a failure to what was said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pytest

from nightmail.client import Client
from nightmail.simulator import process
from tests.end_to_end.browser import DESKTOP, PHONE, launched, looking, serious
from tests.end_to_end.command import Folder
from tests.end_to_end.test_serve import served

pytestmark = pytest.mark.end_to_end
FAULTS = [
    {"kind": "refusal", "probability": 0.03},
    {"kind": "malformed_output", "probability": 0.05, "repeat": 1},
    {"kind": "expire", "share": 0.5, "first": 1},
    {"kind": "batch_fails", "code": "token_limit_exceeded", "batch": 2,
     "message": "Enqueued token limit reached for gpt-4o-mini. Limit: 9,000 enqueued tokens."},
]  # fmt: skip
TOML = """
[quotas]
gpt-4o-mini = 400000

[[notify]]
name = "night-desk"
url_env = "NIGHT_DESK_URL"
secret_env = "NIGHT_DESK_SECRET"
"""


class Scene(NamedTuple):
    """A home after some work, and a service on it."""

    url: str
    run_id: str
    home: Path


@contextlib.contextmanager
def scene(path: Path, *arguments: str) -> Iterator[Scene]:
    """A run that had trouble, one that waits, and a schedule."""
    with process.start(faults=FAULTS) as simulator:
        folder = Folder(path, server=simulator.url)
        folder.more = {"NIGHT_DESK_URL": "http://127.0.0.1:9/", "NIGHT_DESK_SECRET": "whsec_" + "QUJD" * 8}
        home = path / ".nightmail"
        home.mkdir()
        (home / "nightmail.toml").write_text(TOML)
        task, rows = str(path / "sections.py"), folder.write_rows("rows.jsonl", 240)

        async def prepare() -> str:
            async with Client(home, base_url=simulator.url, api_key="sk-test") as client:
                options: dict[str, Any] = {"poll_interval": 0.05, "max_batch_requests": 120}
                done = await client.run(task, rows, **options)
                await client.schedules.add(
                    "nightly", task, str(path / "{date}.jsonl"), source=rows, cron="0 2 * * *",
                    time_zone="Europe/Berlin",
                )  # fmt: skip
                return done.run_id

        run_id = asyncio.run(prepare())
        with served(folder, *arguments) as (_, url):
            yield Scene(url, run_id, home)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("records")) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as made:
        yield made


def test_texts_are_hidden_by_an_option(tmp_path: Path) -> None:
    with served(Folder(tmp_path, server="http://127.0.0.1:9"), "--hide-texts") as (_, url):
        page = Request(f"{url}/search", headers={"Accept": "text/html"})
        with urlopen(page, timeout=30) as answer:
            assert b"Texts are hidden on this service" in answer.read()


def test_from_the_overview_two_clicks_lead_to_why_a_record_failed(home: Scene, browser: Any) -> None:
    with looking(browser) as page:
        page.goto(home.url)
        page.get_by_role("link", name="Errors").click()
        page.locator("td.text a").first.click()
        page.get_by_role("heading", name="Attempt 1").wait_for()
        assert f"/runs/{home.run_id}/records/" in page.url
        page.locator("summary", has_text="What was sent").first.click()
        assert page.get_by_text("You file packages.").first.is_visible()


def test_a_key_and_a_word_of_an_output_are_found(home: Scene, browser: Any) -> None:
    with looking(browser) as page:
        page.goto(f"{home.url}/search")
        page.get_by_label("Text").fill("p17")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="p17", exact=True).click()
        assert page.url == f"{home.url}/runs/{home.run_id}/records/18"
        page.goto(f"{home.url}/search")
        page.get_by_label("Text").fill("games")
        page.get_by_label("Where").select_option("outputs")
        page.keyboard.press("Enter")
        page.locator("mark").first.wait_for()
        page.get_by_role("link", name="Go on").click()
        page.locator("mark").first.wait_for()


def test_what_is_learned_of_a_quota_shows_without_loading_again(home: Scene, browser: Any) -> None:
    async def learn() -> None:
        async with Client(home.home, base_url="http://127.0.0.1:9", api_key="sk-test") as client:
            store, run = client._store, await client.history.run(home.run_id)
            await store.events.record(
                run.run_no, "quota_learned", now=client.hooks.now(), model="other-model"
            )

    with looking(browser) as page:
        page.goto(f"{home.url}/quotas")
        # The browser's driver has a loop in this thread.
        with ThreadPoolExecutor(1) as aside:
            aside.submit(lambda: asyncio.run(learn())).result()
        page.get_by_text("other-model").wait_for()


def test_a_schedule_is_paused_resumed_and_removed(home: Scene, browser: Any) -> None:
    with looking(browser) as page:
        page.goto(f"{home.url}/schedules")
        page.get_by_role("button", name="Pause nightly").click()
        page.get_by_role("button", name="Resume nightly").click()
        page.get_by_role("button", name="Pause nightly").wait_for()
        page.locator("summary", has_text="Remove").click()
        page.get_by_role("button", name="Remove nightly").click()
        page.get_by_text("There are none").wait_for()


def test_each_page_keeps_nobody_out_and_fits_on_a_phone(home: Scene, browser: Any) -> None:
    with looking(browser) as page:
        for path in paths_of(page, home):
            page.set_viewport_size(DESKTOP)
            page.goto(home.url + path)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert serious(page) == [], (path, scheme)
            page.set_viewport_size(PHONE)
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path


def paths_of(page: Any, home: Scene) -> list[str]:
    """One page of each kind."""
    page.goto(f"{home.url}/errors")
    record = page.locator("td.text a").first.get_attribute("href")
    batch = page.locator("a[href^='/batches/']").first.get_attribute("href")
    return [
        "/errors", f"/runs/{home.run_id}/failed", record, batch, "/search", "/search?q=p1&where=beginning",
        "/search?q=games&where=outputs", "/quotas", "/schedules", "/schedules/new", "/notices",
    ]  # fmt: skip
