"""Options of a run, as programs say them and as the API takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nightmail.core.pricing import format_usd, parse_usd
from nightmail.worker.options import amount_of, mode_named, refuse_unknown, seconds_of


def said(options: Mapping[str, Any]) -> dict[str, Any]:
    """`RunOptions` for a request's body; what is not given is left to the service. Raises `ConfigError`."""
    refuse_unknown(options)
    body = {name: value for name, value in options.items() if value is not None}
    if "mode" in body:
        body["mode"] = str(mode_named(body["mode"]))
    if "budget" in body:
        body["budget"] = money(body["budget"])
    if "deadline" in body:
        body["deadline"] = f"{seconds_of(body['deadline']):.0f}s"
    return body


def money(amount: Any) -> str:
    """An amount of USD as the API takes it. Raises `ConfigError`."""
    return format_usd(parse_usd(str(amount_of(amount))))
