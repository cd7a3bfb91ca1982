"""Where tiktoken's vocabularies are, if they are on this machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nightmail.tokens.reference import reference


@pytest.fixture(params=["o200k_base", "cl100k_base"])
def vocabulary(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tiktoken_count(vocabulary: str) -> Callable[[str], int]:
    count = reference(vocabulary)
    if count is None:
        pytest.skip(
            "tiktoken's vocabularies are not here; set TIKTOKEN_CACHE_DIR to compare with it directly"
        )
    return count
