"""`nightmail run` against a server that is not ours and lacks what OpenAI has."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SERVER = Path(__file__).parents[1] / "providers" / "poor_server.py"
TASK = """
import nightmail

class Echo(nightmail.Task):
    model = "some-model"

    def build(self, record):
        return f"say {record['text']}"
"""


@contextmanager
def serving(*lacks: str) -> Iterator[str]:
    """A poor server's base URL."""
    process = subprocess.Popen([sys.executable, SERVER, *lacks], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1].rstrip("/").removesuffix("/v1") + "/v1"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.end_to_end
@pytest.mark.parametrize(
    "lacks",
    [
        (),
        ("metadata", "list", "delete"),
        ("fields", "object_bodies", "text_codes", "absent_error_file", "lengths", "models"),
    ],
    ids=["nothing", "metadata-list-delete", "odd-shapes"],
)
def test_a_run_ends_well_on_a_server_that_lacks(tmp_path: Path, lacks: tuple[str, ...]) -> None:
    (tmp_path / "echo.py").write_text(TASK)
    rows = [{"id": n, "text": f"thing {n}"} for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["run", "echo.py", "--input", "rows.jsonl", "--output", "out.jsonl", "--poll-interval", "0.1"]
    with serving(*lacks) as url:
        done = subprocess.run(
            [sys.executable, "-m", "nightmail", *command, "--base-url", url, "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["succeeded"] == 40
    assert json.loads(done.stdout)["cost_usd"] == "unknown"
    out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in out] == list(range(40))
