"""What is made from the code is up to date, and what is written by hand names what the code has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from nightmail import config
from nightmail.core.budget import LEARNED_MARGIN
from nightmail.core.failure import Reason
from nightmail.core.planning import HEADROOM
from nightmail.core.quota import AGEING, FIRST_BLOCK, LONGEST_BLOCK, PROBE_PER_HOUR
from nightmail.core.recovery import QUARANTINE
from nightmail.core.retry import RetryPolicy
from nightmail.core.throttle import FIRST
from nightmail.core.travel import CANCELLING, FEW, LAST_STRETCH, PACE
from nightmail.stages.money import TOKENS_OF_FIELD, TOKENS_OF_TEXT
from nightmail.stages.parts import META
from nightmail.stages.plan import SYNC_PORTION
from nightmail.stores.admission import ASKING
from nightmail.web.settings import Settings as ServeSettings
from nightmail.worker.holds import ASK_AGAIN, ASK_MUCH_LATER
from nightmail.worker.lease import RENEW_EVERY, TERM
from tests.docs.pages import ROOT, steps_of

SCRIPTS = sorted((ROOT / "scripts").glob("docs_*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_generated_page_is_what_its_script_makes(script: Path) -> None:
    checked = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert checked.returncode == 0, checked.stderr + checked.stdout


def page(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


def test_every_variable_of_the_environment_is_told() -> None:
    pattern = re.compile(r"[\"'`]((?:NIGHTMAIL|OPENAI)_[A-Z_]+)[\"'`]")
    sources = sorted((ROOT / "src" / "nightmail").rglob("*.py"))
    used = {name for path in sources for name in pattern.findall(path.read_text(encoding="utf-8"))}
    assert [name for name in sorted(used) if f"`{name}`" not in page("settings.md")] == []


def test_every_key_of_the_settings_file_is_told() -> None:
    fields = [field.name for field in msgspec.structs.fields(config._File)]
    assert [name for name in fields if f"| `{name}` |" not in page("settings.md")] == []


def test_the_example_of_the_settings_file_is_legal(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", page("settings.md"), re.S)
    (tmp_path / config.FILE_NAME).write_text(example, encoding="utf-8")
    read = config.read(home=tmp_path, environment={})
    assert read.quotas == {"gpt-4o-mini": 2_000_000, "gpt-4.1": 900_000}
    assert read.base_url == "http://127.0.0.1:8000/v1"
    assert read.daily_budget == "20"


def test_the_numbers_that_the_pages_tell_are_the_code_s() -> None:
    minutes = [f"{(FIRST_BLOCK * 2**n).total_seconds() / 60:.0f}" for n in range(4)]
    longest = f"{LONGEST_BLOCK.total_seconds() / 60:.0f}"
    promises = "docs/explanation/how-it-keeps-its-promises.md"
    quota = "docs/decisions/0004-quota-is-derived.md"
    happens = "docs/explanation/what-happens-when.md"
    told = [
        ("README.md", f"{QUARANTINE.total_seconds():.0f} seconds"),
        ("docs/how-to/resume-and-retry.md", f"least {QUARANTINE.total_seconds():.0f} seconds"),
        (promises, f"used to {HEADROOM * 100:.0f} %"),
        (promises, f"answers {LEARNED_MARGIN} times as long"),
        (promises, f"a guess ({TOKENS_OF_TEXT} tokens for a text, {TOKENS_OF_FIELD} for each field"),
        (quota, f"use {HEADROOM * 100:.0f} % of a quota"),
        (quota, f"{PROBE_PER_HOUR * 100:.0f} % more for each whole hour"),
        (quota, f"for {', '.join(minutes)}, then {longest} minutes"),
        (quota, f"not asked for {ASKING.total_seconds():.0f} seconds"),
        (happens, f"| {HEADROOM * 100:.0f} % of that number"),
        (happens, f"for {', '.join(minutes)}, then {longest} minutes"),
        (happens, f"one more for each {AGEING.total_seconds() / 60:.0f} minutes"),
        (
            happens,
            f"after {ASK_AGAIN.total_seconds():.0f} seconds ({ASK_MUCH_LATER.total_seconds():.0f} where",
        ),
        (happens, f"`--max-attempts` ({RetryPolicy().max_attempts})"),
        ("docs/decisions/0003-one-worker-per-run.md", f"every {RENEW_EVERY:.0f} seconds and over after"),
        ("docs/decisions/0003-one-worker-per-run.md", f"over after {TERM.total_seconds():.0f}"),
        ("docs/how-to/modes.md", f"begins with {FIRST:.0f} calls at a time"),
        ("docs/how-to/modes.md", f"Up to {FEW} records are called at once"),
        (
            "docs/how-to/modes.md",
            f"{LAST_STRETCH.total_seconds() / 60:.0f} minutes left for a last",
        ),
        (
            "docs/how-to/modes.md",
            f"{CANCELLING.total_seconds() / 60:.0f} for batches to end",
        ),
        ("docs/how-to/modes.md", f"a second for each {PACE:.0f} open records"),
        ("docs/how-to/modes.md", f"portions of up to {SYNC_PORTION:,} calls"),
    ]
    lost = [
        (name, words)
        for name, words in told
        if words not in " ".join((ROOT / name).read_text(encoding="utf-8").split())
    ]
    assert lost == []


def test_every_reason_and_column_is_told() -> None:
    text = page("output-files.md")
    assert [reason for reason in Reason if f"`{reason}`" not in text] == []
    assert [column for column in META if f"`{column}`" not in text] == []


def test_the_tutorial_s_files_are_the_examples() -> None:
    examples = ROOT / "examples"
    for name in ("README.md", "docs/tutorial.md"):
        files = {step.name: step.text for step in steps_of(ROOT / name) if step.kind == "file"}
        for file in files.keys() & {"topics.py", "make_rows.py"}:
            assert files[file] == (examples / file).read_text(encoding="utf-8"), f"{name}: {file}"


def test_every_setting_of_the_service_is_told_with_its_default() -> None:
    text = (ROOT / "docs" / "how-to" / "serve.md").read_text(encoding="utf-8")
    for field in msgspec.structs.fields(ServeSettings):
        assert f"`{field.name}`" in text, field.name
