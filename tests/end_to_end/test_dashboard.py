"""The dashboard in a real browser, over a real service and a provider whose time stands still until it is
moved on."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pytest

from nightmail.simulator import process
from tests.end_to_end.browser import DESKTOP, PHONE, launched, looking, serious
from tests.end_to_end.command import PATIENCE, Folder
from tests.end_to_end.test_serve import served

pytestmark = pytest.mark.end_to_end
RECORDS = 60
MOST = PATIENCE * 1000
SLOW = ("--timing", "realistic")
TASK = {"model": "gpt-4o-mini", "prompt": "Which section has {text}?", "output": ["games", "net"]}
HOURS = {"advance": 2 * 3600}


class House(NamedTuple):
    """A service on a folder's home, and the provider that it works with."""

    url: str
    folder: Folder
    simulator: process.SimulatorProcess

    def start(self, name: str) -> str:
        """A run that is looked at five times a second."""
        records = [{"id": f"p{n}", "text": f"package {n} for games"} for n in range(RECORDS)]
        asked = {
            "task": {**TASK, "name": name},
            "source": {"records": records},
            "poll_interval": 0.2,
            "max_batch_requests": 20,
        }
        request = Request(
            f"{self.url}/api/v1/runs", json.dumps(asked).encode(), {"Content-Type": "application/json"}
        )
        with urlopen(request, timeout=PATIENCE) as answer:
            return str(json.loads(answer.read())["run_id"])

    def pass_hours(self, page: Any, until: Callable[[], bool]) -> None:
        """Let time go by at the provider, until it is so: each of a batch's stages takes some."""
        deadline = time.monotonic() + PATIENCE
        while not until():
            assert time.monotonic() < deadline, f"still not so: {page.locator('main').inner_text()}"
            self.simulator.post("/_simulator/clock", HOURS)
            page.wait_for_timeout(300)


@contextlib.contextmanager
def housed(path: Path) -> Iterator[House]:
    with process.start(faults={"refusal": 0.2}, options=SLOW) as simulator:
        folder = Folder(path, server=simulator.url)
        with served(folder) as (_, url):
            yield House(url, folder, simulator)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with housed(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as made:
        yield made


def until(page: Any, selector: str, text: str) -> None:
    """Return when the element says so, without loading the page again."""
    page.locator(selector).filter(has_text=re.compile(text)).first.wait_for(timeout=MOST)


def says(page: Any, selector: str, text: str) -> bool:
    return text in page.locator(selector).inner_text()


@pytest.fixture(scope="module")
def over(house: House, browser: Any) -> str:
    """The address of a run that is over, and of which some records have failed."""
    with looking(browser) as page:
        address = f"{house.url}/runs/{house.start('over')}"
        page.goto(address)
        house.pass_hours(page, lambda: says(page, "#head .state", "finished"))
        return address


def test_a_run_is_started_by_a_form_and_paused_and_resumed_by_buttons(house: House, browser: Any) -> None:
    rows = house.folder.write_rows("form.jsonl", 20)
    with looking(browser) as page:
        page.goto(house.url)
        page.get_by_role("link", name="Start a run").click()
        page.get_by_label("File").set_input_files(str(rows))
        page.get_by_label("Name", exact=True).fill("Sections")
        page.get_by_label("Model", exact=True).fill("gpt-4o-mini")
        page.get_by_label("Prompt").fill("Which section has {short}?\n{body}")
        page.get_by_label("Answer").fill("games, net")
        page.get_by_role("button", name="Show the plan").click()
        page.get_by_text("Will cost about").wait_for()
        page.get_by_role("button", name="Start the run").click()
        until(page, "h1", "sections-")
        assert re.fullmatch(rf"{house.url}/runs/sections-\w+", page.url)
        page.get_by_role("button", name="Pause").click()
        page.get_by_text("What the provider has is still taken in.").wait_for()
        page.locator("summary", has_text="Resume").click()
        page.get_by_label("Another budget").fill("3")
        page.get_by_role("button", name="Resume").click()
        page.get_by_role("button", name="Pause").wait_for()
        assert "$3.00" in page.locator("#money").inner_text()
        page.locator("summary", has_text="Cancel").click()
        page.get_by_role("button", name="Cancel the run").click()
        until(page, "#head", "Being cancelled|cancelled")


def test_a_run_is_watched_to_its_end_without_loading_again_and_then_asked_again(
    house: House, browser: Any
) -> None:
    with looking(browser) as page:
        page.goto(f"{house.url}/runs/{house.start('live.jsonl')}")
        page.evaluate("window.loaded = 'once'")
        until(page, "#batches", "3 under way")
        assert page.locator("#progress h2").inner_text() == f"0 of {RECORDS} records"
        page.locator("summary", has_text="Cancel").click()
        house.pass_hours(page, lambda: says(page, "#head .state", "finished"))
        assert page.evaluate("window.loaded") == "once"
        assert page.locator("#progress h2").inner_text() == f"{RECORDS} of {RECORDS} records"
        failed = int(re.findall(r"Why (\d+) records failed", page.locator("#failures").inner_text())[0])

        page.locator("summary", has_text="Download").click()
        with page.expect_download() as output:
            page.get_by_role("link", name="as csv").click()
        assert len(Path(output.value.path()).read_text().splitlines()) == 1 + RECORDS - failed
        with page.expect_download() as failures:
            page.get_by_role("link", name=re.compile("failures? as jsonl")).click()
        assert len(Path(failures.value.path()).read_text().splitlines()) == failed

        page.locator("#failures .example a").first.click()
        page.get_by_role("heading", name="Attempt 1").wait_for()
        page.go_back()

        page.locator("summary", has_text="Ask again").click()
        page.get_by_label("Which").select_option("refused")
        page.get_by_role("button", name="Ask again").click()
        until(page, "#batches", "1 under way")
        house.pass_hours(page, lambda: says(page, "#head .state", "finished"))


def test_what_somebody_has_opened_and_typed_stays_while_the_page_changes(house: House, browser: Any) -> None:
    with looking(browser) as page:
        run_id = house.start("typed")
        page.goto(f"{house.url}/runs/{run_id}")
        until(page, "#batches", "3 under way")
        page.get_by_role("button", name="Pause").click()
        page.locator("summary", has_text="Resume").click()
        page.get_by_label("Another budget").fill("12")
        # What was at the provider when the run was paused is still taken in.
        house.pass_hours(page, lambda: says(page, "#batches", "3 done"))
        assert page.get_by_label("Another budget").input_value() == "12"
        assert page.evaluate("document.activeElement.id") == "budget"


def test_the_overview_moves_by_itself(house: House, browser: Any) -> None:
    with looking(browser) as page:
        page.goto(house.url)
        run_id = house.start("moving")
        until(page, "#now", run_id)
        house.pass_hours(page, lambda: not says(page, "#now", f"{run_id}\tdraining"))


def test_without_scripts_everything_can_be_done_by_loading_again(house: House, browser: Any) -> None:
    with looking(browser, java_script_enabled=False) as page:
        page.goto(f"{house.url}/runs/{house.start('plain.jsonl')}")
        page.get_by_role("button", name="Pause").click()
        page.get_by_text("What the provider has is still taken in.").wait_for()
        page.locator("summary", has_text="Cancel").click()
        page.get_by_role("button", name="Cancel the run").click()
        page.get_by_text("Being cancelled").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_each_page_fits_and_keeps_nobody_out(
    house: House, browser: Any, over: str, size: dict[str, int], scheme: str
) -> None:
    with looking(browser, size, color_scheme=scheme) as page:
        for path in ("/", "/runs", "/runs/new", over.removeprefix(house.url), "/sign-in"):
            address = house.url + path
            page.goto(address)
            page.evaluate("for (const each of document.querySelectorAll('main details')) each.open = true")
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], address
            assert serious(page) == [], address


def test_a_key_is_asked_for_once(tmp_path: Path, browser: Any) -> None:
    folder = Folder(tmp_path, server="http://127.0.0.1:9")
    key = folder.nightmail("keys", "add", "ours", "--json").result["key"]
    with served(folder, "--no-work") as (_, url), looking(browser) as page:
        page.goto(f"{url}/runs")
        page.get_by_label("Key").fill(key)
        page.keyboard.press("Enter")
        until(page, ".who", "signed in as ours")
        assert page.url == f"{url}/runs"
        assert key not in page.content()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Key").wait_for()
        page.goto(url)
        page.get_by_label("Key").wait_for()
