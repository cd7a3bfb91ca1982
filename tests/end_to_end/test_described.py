"""The API keeps to its own description: asked everything that it allows, and what it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import Request

import pytest

from nightmail.simulator import process
from tests.end_to_end.command import Folder
from tests.end_to_end.test_serve import get, served
from tests.web.test_start import DECLARED, RECORDS

pytestmark = pytest.mark.end_to_end

# Webhooks are left out: only who has the secret can send one.
# A run that is there, so that its routes are asked for more than their 404. What a body means can be wrong
# although its form is right: a deadline that is none, a prompt with half a brace.
CONFIG = """
[parameters]
run_id = "{run_id}"
"path.key" = "r1"
"path.key_id" = "0000000000000000"

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 404, 409, 422]
"""


def test_it_is_as_it_says(tmp_path: Path) -> None:
    with process.start() as simulator:
        folder = Folder(tmp_path, server=simulator.url)
        home = tmp_path / ".nightmail"
        home.mkdir()
        (home / "nightmail.toml").write_text("[serve]\nwrong_keys_per_minute = 1e9\n")
        key = folder.nightmail("keys", "add", "ours", "--scope", "admin", "--json").result["key"]
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        with served(folder) as (_, url):
            body = {"task": DECLARED, "source": {"records": RECORDS}, "poll_interval": 0.05}
            run = get(Request(f"{url}/api/v1/runs", json.dumps(body).encode(), headers))
            where = Request(f"{url}/api/v1/runs/{run['run_id']}", headers=headers)
            folder.wait_for(lambda: get(where)["state"] == "finished")
            (tmp_path / "schemathesis.toml").write_text(CONFIG.format(run_id=run["run_id"]))
            asked = subprocess.run(
                [
                    Path(sys.executable).with_name("schemathesis"), "run", f"{url}/api/v1/openapi.json",
                    "--checks", "all", "--exclude-path", "/webhooks/openai",
                    "--phases", "coverage,fuzzing,stateful", "--max-examples", "2", "--seed", "1",
                    "--header", f"Authorization: Bearer {key}", "--no-color", "--continue-on-failure",
                ],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )  # fmt: skip
        assert asked.returncode == 0, asked.stdout[-20_000:]
