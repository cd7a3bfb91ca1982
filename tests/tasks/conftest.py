"""Answers as a provider's wire layer gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from nightmail.core.result import Response


def _answer(text: str | None = None, **parts: Any) -> Response:
    raw = msgspec.Raw(msgspec.json.encode(parts.pop("raw", {})))
    return Response(model="gpt-4o-mini-2024-07-18", whole=raw, text=text, **parts)


@pytest.fixture(scope="session")
def answer() -> Callable[..., Response]:
    return _answer
