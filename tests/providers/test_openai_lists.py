"""Lists of batches and files over real HTTP: read to their end, or said not to be."""

from __future__ import annotations

from typing import Any

import pytest

from nightmail.errors import Unsupported
from nightmail.providers.openai.adapter import PAGE, OpenAIProvider

BATCH = {"id": "batch_1", "object": "batch", "status": "validating", "input_file_id": "file-1"}


def page(ids: range, **more: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{**BATCH, "id": f"b{n}"} for n in ids], **more}


async def found(provider: OpenAIProvider) -> list[str]:
    return [batch.id async for batch in provider.find()]


async def test_a_long_list_is_read_page_by_page(poor: Any, provider: OpenAIProvider) -> None:
    poor.script("GET", "/batches", body=page(range(100), has_more=True, last_id="b99"))
    # A batch created meanwhile pushes one item over to the next page: it must not come twice.
    poor.script("GET", "/batches", body=page(range(99, 150), has_more=False))
    assert await found(provider) == [f"b{n}" for n in range(150)]
    assert [call["query"] for call in poor.log("GET", "/batches")] == [
        f"limit={PAGE}",
        f"limit={PAGE}&after=b99",
    ]


async def test_a_list_that_does_not_say_whether_there_is_more_is_read_to_its_end(
    poor: Any, provider: OpenAIProvider
) -> None:
    for pages, expected in (
        ([page(range(40))], 40),
        ([page(range(100)), page(range(100, 130))], 130),
        ([page(range(100)), page(range(0))], 100),
        ([page(range(250))["data"]], 250),
        ([page(range(3), has_more=True), page(range(0), has_more=True)], 3),
    ):
        for body in pages:
            poor.script("GET", "/batches", body=body)
        assert len(await found(provider)) == expected


@pytest.mark.parametrize("more", [{"has_more": True}, {}])
async def test_a_list_that_cannot_be_read_to_its_end_says_so(
    poor: Any, provider: OpenAIProvider, more: dict[str, Any]
) -> None:
    poor.script("GET", "/batches", body=page(range(100), **more), times=2)
    seen: list[str] = []

    async def read() -> None:
        async for batch in provider.find():
            seen.append(batch.id)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(Unsupported, match="first 100"):
        await read()
    assert len(seen) == 100


async def test_a_server_without_a_list_is_told_from_an_empty_one(poor: Any, provider: OpenAIProvider) -> None:
    poor.script("GET", "/batches", body={"object": "list", "data": [], "has_more": False})
    assert await found(provider) == []
    poor.script("GET", "/batches", status=404, body={"detail": "Not Found"})
    with pytest.raises(Unsupported):
        await found(provider)


async def test_files_of_other_purposes_are_not_ours(poor: Any, provider: OpenAIProvider) -> None:
    files = [{"id": f"f{n}", "purpose": p} for n, p in enumerate(["batch", "vision", None, "batch_output"])]
    poor.script("GET", "/files", body={"data": files, "has_more": False}, times=2)
    assert [file.id async for file in provider.files()] == ["f0", "f2", "f3"]
