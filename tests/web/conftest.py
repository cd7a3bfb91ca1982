"""What holds for all tests of the service."""

from __future__ import annotations

import pytest

from nightmail.worker import loop, shift


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is part of the service looks for runs and wishes at once: its usual seconds between two
    looks would be most of the time of a test."""
    monkeypatch.setattr(shift, "LOOK", 0.05)
    monkeypatch.setattr(loop, "LOOK_AROUND", 0.05)
