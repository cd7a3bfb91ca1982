"""What came of a night, as it is written down beside its evidence."""

from __future__ import annotations

import msgspec


class Verdict(msgspec.Struct, kw_only=True):
    """What came of a night; written to `verdict.json`."""

    seed: int
    records: int
    told: str
    violations: list[tuple[str, str]]
    struck: dict[str, int]
    deeds: dict[str, int]
    extras: list[str]
