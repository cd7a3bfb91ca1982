"""Pictures of the dashboard for the documentation, taken of the real thing.

`nightmail serve` runs on a home with the demo's texts: one run that is over and one in progress, at a
simulated provider whose nights are short. Debian's chromium looks at it, light and dark, wide and on a phone.
The pictures get a palette, which makes them a quarter of the size. Needs chromium; takes two minutes.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.end_to_end.browser import DESKTOP, FLAGS, PHONE  # noqa: E402

from nightmail.cli.demo import FAULTS, POLL_EVERY, QUOTA, TASK  # noqa: E402 - found by the line above
from nightmail.cli.demo_data import write_dataset  # noqa: E402
from nightmail.client import Client  # noqa: E402
from nightmail.simulator import process  # noqa: E402

PICTURES = ROOT / "docs" / "screenshots"
SPEED = 30
FIRST_RECORDS = 1200
# The run in progress is looked at from here on.
SHARE = 0.4
COLOURS = 256
# So that there is a failed record to look at.
MORE_REFUSALS = 0.01
PATIENCE = 300.0


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="nightmail-") as folder:
        # Paths are shown as they were given.
        os.chdir(folder)
        write_dataset(Path("docstrings.parquet"))
        with process.start(
            faults={**FAULTS, "refusal": MORE_REFUSALS},
            quotas=QUOTA,
            options=("--timing", "realistic", "--speed", str(SPEED)),
        ) as simulator:
            asyncio.run(_prepare(simulator.url))
            with _served(simulator.url) as url, sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=list(FLAGS)
                )
                _wait(url)
                for name, path in _pages(browser, url):
                    _take(browser, name, f"{url}{path}")
                browser.close()


async def _prepare(provider: str) -> None:
    async with Client(Path(".nightmail"), base_url=provider, api_key="simulated") as client:
        options: dict[str, Any] = {"quotas": QUOTA, "poll_interval": POLL_EVERY, "budget": "2"}
        await client.run(TASK, "docstrings.parquet", limit=FIRST_RECORDS, **options)
        await client.start(TASK, "docstrings.parquet", **options)


@contextmanager
def _served(provider: str) -> Iterator[str]:
    environment = {**os.environ, "OPENAI_BASE_URL": provider, "OPENAI_API_KEY": "simulated"}
    environment["PYTHONPATH"] = str(ROOT / "src")
    serving = subprocess.Popen(
        [sys.executable, "-m", "nightmail", "serve", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
    )  # fmt: skip
    try:
        assert serving.stdout is not None
        yield serving.stdout.readline().rstrip().rpartition(" ")[2]
    finally:
        serving.terminate()
        serving.wait()


def _runs(url: str) -> list[dict[str, Any]]:
    with urlopen(f"{url}/api/v1/runs", timeout=30) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())["runs"]
    return found


def _wait(url: str) -> None:
    """Return when enough of the newest run is done."""
    deadline = time.monotonic() + PATIENCE
    while (run := _runs(url)[0])["succeeded"] <= run["records"] * SHARE:
        assert time.monotonic() < deadline, f"still not there: {run}"
        time.sleep(0.2)


def _pages(browser: Browser, url: str) -> Iterator[tuple[str, str]]:
    """Name and path of what is shown: what moves first."""
    now, before = _runs(url)[:2]
    yield "run", f"/runs/{now['run_id']}"
    yield "overview", "/"
    page = browser.new_page()
    page.goto(f"{url}/runs/{before['run_id']}")
    record = page.locator("#failures .example a").first.get_attribute("href")
    page.close()
    assert record is not None
    yield "record", record


def _take(browser: Browser, name: str, address: str) -> None:
    for width, size, scale in (("desktop", DESKTOP, 1), ("phone", PHONE, 2)):
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport=size, color_scheme=scheme, device_scale_factor=scale)
            page = context.new_page()
            page.goto(address)
            path = PICTURES / f"{name}-{width}-{scheme}.png"
            _palette(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).save(path, optimize=True)
            print(f"{path.relative_to(ROOT)}  {path.stat().st_size:,} bytes")
            context.close()


def _palette(picture: Image.Image) -> Image.Image:
    """The picture in its most frequent colours: areas keep theirs exactly, edges of letters a near one."""
    counted = sorted(picture.getcolors(2**24) or [], reverse=True)[:COLOURS]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in counted for part in colour])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main()
