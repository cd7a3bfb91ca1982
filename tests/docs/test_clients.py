"""The examples of the service's page work: curl, Python and the command line, against a real service."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nightmail.simulator import process
from tests.docs.pages import ROOT, steps_of
from tests.docs.test_commands import clean_environment, follow
from tests.end_to_end.command import Folder
from tests.end_to_end.test_serve import get, served

PAGE = ROOT / "docs" / "how-to" / "serve.md"
HERE, RUN = "http://127.0.0.1:8686", "sections-7f3a"


def unexpected(command: str, port: str) -> None:
    raise AssertionError(f"the page starts {command} in the background")


@pytest.mark.end_to_end
def test_the_client_examples_run(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    rows = [{"id": name, "name": name, "text": "plays over the net"} for name in ("nethack", "wget")]
    (folder / "packages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    environment = clean_environment(tmp_path / "bin") | {"HOME": str(folder)}
    (folder / ".nightmail-key").write_text("")
    # A reader sees a problem; the test must too.
    curl = tmp_path / "bin" / "curl"
    curl.write_text(f'#!/bin/sh\nexec "{shutil.which("curl")}" --fail-with-body "$@"\n')
    curl.chmod(0o755)
    steps = steps_of(PAGE)
    assert {step.name for step in steps if step.kind == "file"} == {"client.py", "sections.json"}
    with process.start() as simulator, served(Folder(tmp_path, server=simulator.url)) as (_, url):
        for step in steps:
            # The page says what a run may be called; here it is called otherwise.
            called = [run["run_id"] for run in get(f"{url}/api/v1/runs")["runs"] if run["task"] == "sections"]
            text = step.text.replace(HERE, url).replace(RUN, called[0] if called else RUN)
            added = {name: value.replace(HERE, url) for name, value in step.environment.items()}
            follow(step._replace(text=text, environment=added), folder, environment, "", unexpected)
    keys = [line.partition(",")[0] for line in (folder / "sections.csv").read_text().splitlines()]
    assert keys == ['"id"', '"nethack"', '"wget"']
