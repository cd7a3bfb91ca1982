"""The public conformance suite, against a server that is not ours and against the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nightmail.providers.openai.adapter import OpenAIProvider
from nightmail.simulator.process import start
from nightmail.testing.conformance.providers import exercise_provider

EVERYTHING = [
    *("metadata", "list", "delete", "models", "has_more", "envelope", "purposes", "fields"),
    *("object_bodies", "names_of_failures", "text_codes", "absent_error_file", "lengths"),
]


async def pause() -> None:
    await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "lacks",
    [
        [],
        pytest.param(["metadata"], marks=pytest.mark.exhaustive),
        pytest.param(["list", "delete"], marks=pytest.mark.exhaustive),
        pytest.param(["has_more", "purposes", "after"], marks=pytest.mark.exhaustive),
        pytest.param(["envelope", "fields"], marks=pytest.mark.exhaustive),
        EVERYTHING,
    ],
    ids=lambda lacks: "-".join(lacks[:2]) or "complete",
)
async def test_a_server_that_is_not_ours_is_good_enough(
    start_poor: Callable[..., Any], tmp_path: Path, lacks: list[str]
) -> None:
    server = start_poor(*lacks)
    missing = {"metadata"} & set(lacks) | ({"find", "files"} if "list" in lacks else set())
    if "fields" in lacks:
        missing.add("metadata")
    await exercise_provider(
        lambda: OpenAIProvider.open(base_url=server.url, api_key=None),
        model="m",
        folder=tmp_path,
        pause=pause,
        lacks=missing | ({"delete"} & set(lacks)),
        refused="please fail",
    )


@pytest.mark.parametrize(
    ("options", "lacks"),
    [
        ([], set()),
        pytest.param(
            ["--dialect", "strings", "--without", "metadata,list,delete"],
            {"metadata", "find", "delete"},
            marks=pytest.mark.end_to_end,
        ),
    ],
    ids=["faithful", "poor"],
)
async def test_the_simulator_is_good_enough(tmp_path: Path, options: list[str], lacks: set[str]) -> None:
    with start(state=tmp_path / "simulator", options=options) as simulator:
        await exercise_provider(
            lambda: OpenAIProvider.open(base_url=simulator.url, api_key=None),
            model="gpt-4o-mini",
            folder=tmp_path / "files",
            pause=pause,
            lacks=lacks,
        )
