"""tiktoken beside the tokenizer: the vocabularies that this package makes are what it needs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nightmail.tokens.reference import reference
from nightmail.tokens.vocabulary import PUBLISHED, vocabulary_file


@pytest.fixture(autouse=True)
def tiktoken_has_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    # One folder: both files are in the same.
    folders = {vocabulary_file(name).parent for name in PUBLISHED}
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(folders.pop()))


@pytest.fixture(params=["o200k_base", "cl100k_base"])
def vocabulary(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tiktoken_count(vocabulary: str) -> Callable[[str], int]:
    count = reference(vocabulary)
    assert count is not None
    return count
