"""A customer of the simulator: the official client, and what a test does with it again and again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from nightmail.simulator.process import SimulatorProcess, start

CHAT = "/v1/chat/completions"
DEADLINE = 60.0


class Customer:
    """Calls a simulator as any program would; `api` is the official client without its own retries."""

    def __init__(self, simulator: SimulatorProcess, **options: Any) -> None:
        self.simulator = simulator
        self.api = openai.OpenAI(
            base_url=simulator.url, api_key="key", max_retries=0, **{"timeout": 30.0, **options}
        )

    def upload(self, content: bytes, name: str = "input.jsonl") -> str:
        return self.api.files.create(file=(name, content), purpose="batch").id

    def create(self, content: bytes, endpoint: str = CHAT, **options: Any) -> Any:
        return self.api.batches.create(
            input_file_id=self.upload(content),
            endpoint=endpoint,  # type: ignore[arg-type]
            completion_window="24h",
            **options,
        )

    def until(self, batch_id: str, condition: Callable[[Any], bool]) -> Any:
        """The batch as soon as it meets the condition."""
        end = time.monotonic() + DEADLINE
        while not condition(batch := self.api.batches.retrieve(batch_id)):
            assert time.monotonic() < end, f"still {batch.status}"
        return batch

    def moved_until(self, batch_id: str, condition: Callable[[Any], bool], step: float = 20.0) -> Any:
        """The same, with the simulator's clock moved on by hand: for a simulator so slow that what a test
        waits for cannot pass by between two looks, however busy the machine is."""

        def met(batch: Any) -> bool:
            if condition(batch):
                return True
            self.simulator.post("/_simulator/clock", {"advance": step})
            return False

        return self.until(batch_id, met)

    def ended(self, batch: Any) -> Any:
        return self.until(batch.id, lambda one: one.status in ("completed", "failed", "expired", "cancelled"))

    def run(self, content: bytes, endpoint: str = CHAT, **options: Any) -> Any:
        return self.ended(self.create(content, endpoint, **options))

    def rows(self, file_id: str | None) -> list[dict[str, Any]]:
        if not file_id:
            return []
        return [json.loads(line) for line in self.api.files.content(file_id).content.split(b"\n") if line]

    def results(self, batch: Any) -> dict[str, dict[str, Any]]:
        """Every row of both files by its custom_id."""
        rows = self.rows(batch.output_file_id) + self.rows(batch.error_file_id)
        return {row["custom_id"]: row for row in rows}


def line(number: int | str, text: str = "Opens a file. Then closes it.", **body: Any) -> bytes:
    """One chat line with its newline."""
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **body}
    return (
        json.dumps({"custom_id": f"r-{number}", "method": "POST", "url": CHAT, "body": asked}).encode()
        + b"\n"
    )


def lines(count: int, prefix: str = "", **body: Any) -> bytes:
    return b"".join(line(f"{prefix}{number}", **body) for number in range(count))


def content_of(row: dict[str, Any]) -> Any:
    return row["response"]["body"]["choices"][0]["message"]["content"]


@pytest.fixture(scope="package")
def simulator() -> Iterator[SimulatorProcess]:
    """One plain simulator for every test that does not need its own."""
    with start(options=["--processes", "1"]) as running:
        yield running


@pytest.fixture
def customer(simulator: SimulatorProcess) -> Iterator[Customer]:
    simulator.post("/_simulator/faults", {})
    found = Customer(simulator)
    yield found
    simulator.post("/_simulator/faults", {})
    found.api.close()


@pytest.fixture
def broken(customer: Customer) -> Callable[..., Customer]:
    """Set the plan of the shared simulator; the customer's fixture takes it back."""

    def plan(**given: Any) -> Customer:
        customer.simulator.post("/_simulator/faults", given)
        return customer

    return plan


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., Customer]]:
    """Start a simulator with options of one's own; it ends with the test."""
    import contextlib

    with contextlib.ExitStack() as closing:

        def open_one(*options: str, **plan: Any) -> Customer:
            running = closing.enter_context(start(state=tmp_path / "state", options=options, **plan))
            found = Customer(running)
            closing.callback(found.api.close)
            # An orderly end of so many takes longer than what they are asked.
            closing.callback(running.kill)
            return found

        yield open_one


class Shapes:
    """Lines and rows, for tests that cannot import this file."""

    line = staticmethod(line)
    lines = staticmethod(lines)
    content_of = staticmethod(content_of)


@pytest.fixture
def shapes() -> type[Shapes]:
    return Shapes
