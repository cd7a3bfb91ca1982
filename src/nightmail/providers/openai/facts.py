"""Reads `facts.toml`: which numbers hold for a model and an endpoint. Unknown models get the general ones."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from nightmail.core.limits import Limits
from nightmail.core.request import Endpoint

# What may follow a name that is otherwise the same: `-2024-07-18`, `-0613`, a fine-tune's `:org::id`.
_DATED = re.compile(r"(?:-\d{4}(?:-\d\d-\d\d)?)?(?::.*)?")


@cache
def limits_for(model: str, endpoint: Endpoint) -> Limits:
    """What one batch and one request may hold. How much may be enqueued depends on the account: None."""
    facts = _facts()
    family = _entry(facts["models"]["family"], model)
    enqueued = facts["batch"]["enqueued_embedding_requests"]
    return Limits(
        max_batch_requests=facts["batch"]["requests"],
        max_batch_bytes=facts["batch"]["bytes"],
        max_batch_inputs=facts["batch"]["embedding_inputs"] if endpoint is Endpoint.EMBEDDINGS else None,
        max_enqueued_requests=enqueued if endpoint is Endpoint.EMBEDDINGS else None,
        max_creates_per_hour=facts["batch"]["creates_per_hour"],
        context_window=family.get("context_window"),
        max_output_tokens=family.get("max_output_tokens"),
        flex=endpoint in (Endpoint.CHAT, Endpoint.RESPONSES) and _has_flex(model),
    )


def published_queue_limits(model: str) -> Mapping[str, int]:
    """Input tokens that may be enqueued for a model, by usage tier ("tier1"), as far as was published."""
    found = _entry(_facts()["queue"], model, exact=True)
    return {tier: tokens for tier, tokens in found.items() if tier.startswith("tier")}


def _has_flex(model: str) -> bool:
    """Fine-tuned models have none, and a name with a vendor before it is somebody else's."""
    names = _facts()["flex"]["models"]
    return ":" not in model and any(_fits(model.lower(), name, exact=True) for name in names)


@cache
def _facts() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("facts.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _entry(entries: Sequence[dict[str, Any]], model: str, *, exact: bool = False) -> dict[str, Any]:
    """The longest entry that fits the bare model name; `ft:` and `vendor/` are not part of it."""
    bare = model.removeprefix("ft:").rpartition("/")[2].lower()
    fitting = [entry for entry in entries if _fits(bare, entry["match"], exact or entry.get("exact", False))]
    return max(fitting, key=lambda entry: len(entry["match"]), default={})


def _fits(bare: str, head: str, exact: bool) -> bool:
    if not bare.startswith(head):
        return False
    rest = bare[len(head) :]
    if head.endswith("-"):
        return True
    if exact:
        return _DATED.fullmatch(rest) is not None
    # "gpt-5" begins "gpt-5.1", "gpt-5-mini" and "gpt-5:org::id", but "o1" does not begin "o10".
    return rest == "" or not rest[0].isalnum()
