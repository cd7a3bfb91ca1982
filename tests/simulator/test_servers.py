"""The simulator as a process, as a poorer server, and as a Batch API for another one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import openai
import pytest

from nightmail.errors import ConfigError
from nightmail.simulator.__main__ import main
from nightmail.simulator.process import SimulatorProcess, start
from nightmail.simulator.settings import from_arguments

pytestmark = pytest.mark.end_to_end


def test_features_can_be_missing(own: Any, shapes: Any) -> None:
    customer = own("--without", "metadata,usage,counts,expires_at,list,delete")

    batch = customer.run(shapes.line(1), metadata={"a": "b"})

    assert batch.status == "completed"
    for attribute in ("metadata", "usage", "request_counts", "expires_at"):
        assert getattr(batch, attribute) is None
        assert attribute not in batch.model_fields_set
    with pytest.raises(openai.NotFoundError):
        customer.api.batches.list()
    with pytest.raises(openai.APIStatusError) as caught:
        customer.api.files.delete(batch.output_file_id)
    assert caught.value.status_code == 405


def test_the_strings_dialect_differs_in_every_way(own: Any, shapes: Any) -> None:
    customer = own("--dialect", "strings")
    created = customer.create(shapes.line("ok") + shapes.line("bad", temperature=9))
    assert (created.status, created.completion_window) == ("scheduling", "1d")
    assert uuid.UUID(created.id)

    batch = customer.ended(created)

    assert batch.usage is None
    assert batch.model is None
    (row,) = customer.rows(batch.output_file_id)
    assert "error" not in row
    assert json.loads(row["response"]["body"])["object"] == "chat.completion"
    (failed,) = customer.rows(batch.error_file_id)
    assert set(failed) == {"id", "error"}
    assert failed["error"]["code"] == 400
    clean = customer.run(shapes.line("ok"))
    assert customer.api.files.content(clean.error_file_id).content == b""
    with pytest.raises(openai.NotFoundError) as caught:
        customer.api.batches.retrieve("none")
    assert caught.value.body["code"] == 404  # type: ignore[index]


def test_a_large_batch_is_answered_in_processes_that_end_with_the_simulator(own: Any, shapes: Any) -> None:
    customer = own("--processes", "2")
    created = customer.create(shapes.lines(20_000, text="Opens a file and reads it. " * 20))
    slowest = 0.0

    def ended(batch: Any) -> bool:
        nonlocal slowest, asked
        slowest, asked = max(slowest, time.monotonic() - asked), time.monotonic()
        return batch.status in ("completed", "failed")

    asked = time.monotonic()
    batch = customer.until(created.id, ended)

    rows = customer.rows(batch.output_file_id)
    assert {row["custom_id"] for row in rows} == {f"r-{number}" for number in range(20_000)}
    assert len({row["id"] for row in rows}) == 20_000
    assert slowest < 2.0
    if Path("/proc").exists():
        _ends_with_its_children(customer.simulator)


def _ends_with_its_children(simulator: SimulatorProcess) -> None:
    children = _children(simulator.pid)
    assert children

    simulator.kill()

    end = time.monotonic() + 20
    while any(_alive(child) for child in children):
        assert time.monotonic() < end, "a worker process is still there"


def _children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rsplit(")", 1)[1].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class _Upstream(BaseHTTPRequestHandler):
    """A server that echoes, refuses one text for good and another at the first try."""

    seen: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = body["messages"][0]["content"]
        again = any(one["messages"][0]["content"] == text for one in self.seen)
        self.seen.append(body)
        status, reply = (
            200,
            {
                "id": "x",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": text.upper()},
                    }
                ],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
            },
        )
        if text == "never":
            status, reply = 400, {"error": {"message": "No.", "code": "nope", "type": "x", "param": None}}
        elif text == "later" and not again:
            status, reply = 503, {"error": {"message": "Busy."}}
        sent = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[str]:
    _Upstream.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Upstream)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_another_server_gets_a_batch_api(own: Any, shapes: Any, upstream: str) -> None:
    customer = own("--upstream", upstream, "--upstream-concurrency", "4")
    texts = ["one", "two", "later", "never", "three"]

    batch = customer.run(b"".join(shapes.line(text, text=text) for text in texts))

    assert batch.request_counts.to_dict() == {"total": 5, "completed": 4, "failed": 1}
    assert (batch.usage.input_tokens, batch.usage.output_tokens) == (12, 8)
    results = customer.results(batch)
    assert shapes.content_of(results["r-later"]) == "LATER"
    assert results["r-never"]["response"]["body"]["error"]["code"] == "nope"
    sync = customer.api.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert sync.choices[0].message.content == "HI"


def test_an_upstream_that_is_not_there_fails_the_lines(own: Any, shapes: Any) -> None:
    customer = own("--upstream", "http://127.0.0.1:9/v1")

    batch = customer.run(shapes.line(1))

    (row,) = customer.rows(batch.error_file_id)
    assert row["response"]["status_code"] == 502
    assert row["response"]["body"]["error"]["code"] == "upstream_unreachable"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quota", "gpt-4o"], "MODEL=TOKENS"),
        (["--without", "everything"], "not a feature"),
        (["--speed", "0"], "above 0"),
        (["--faults", "/nowhere/plan.toml"], "plan.toml"),
    ],
)
def test_a_wrong_option_is_one_message_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2

    assert message in capsys.readouterr().err


def test_a_taken_port_is_one_message(simulator: SimulatorProcess, tmp_path: Path) -> None:
    port = simulator.root.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "nightmail.simulator", "--port", port, "--state", str(tmp_path)]

    ended = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=30, check=False)

    assert ended.returncode == 2
    assert "cannot listen" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_simulator_that_does_not_start_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="did not start"), start(options=["--timing", "slow"]):
        pass

    assert "--timing" in capfd.readouterr().err


def test_quotas_and_answers_come_with_start(tmp_path: Path) -> None:
    settings = from_arguments(
        ["--state", str(tmp_path), "--quota", "gpt-4o=1_000", "m=2,000", "--quota", "n=3", "--speed", "2"]
    )

    assert settings.quotas == {"gpt-4o": 1000, "m": 2000, "n": 3}
    assert settings.speed == 2.0


def test_stopping_twice_and_restarting_is_fine() -> None:
    with start() as simulator:
        simulator.stop()
        simulator.stop()
        simulator.restart()
        assert simulator.get("/_simulator/state")["simulated"]
