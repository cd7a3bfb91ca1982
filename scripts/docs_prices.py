"""List the prices of docs/reference/prices.md from nightmail/core/prices.json."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from generated import publish, table


def dollars(rates: dict[str, Any] | None, name: str) -> str:
    return "" if rates is None or rates.get(name) is None else f"{rates[name]:g}"


def row(model: str, price: dict[str, Any]) -> list[str]:
    standard, batch = price["standard"], price["batch"]
    return [
        f"`{model}`",
        *(dollars(standard, name) for name in ("input", "cached", "output")),
        *(dollars(batch, name) for name in ("input", "cached", "output")),
        f"above {price['long']['above']:,} tokens" if price.get("long") else "",
        price.get("retires", ""),
    ]


def body() -> str:
    """The date, the sources, and one row per model."""
    written = json.loads((files("nightmail.core") / "prices.json").read_text(encoding="utf-8"))
    sources = "\n".join(f"* {source}" for source in written["sources"])
    head = [
        "model", "input", "cached", "output", "batch input", "batch cached", "batch output",
        "other prices for long prompts", "retires",
    ]  # fmt: skip
    rows = [row(model, price) for model, price in written["models"].items()]
    return f"{written['unit']}, as of {written['date']}. Sources:\n\n{sources}\n\n{table(head, rows)}"


if __name__ == "__main__":
    publish("docs/reference/prices.md", body(), script=__file__)
