"""What one provider accepts in one batch, and at one time."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """None means "no such limit is known". Numbers come from a provider's `facts.toml` and the user."""

    max_batch_requests: int = 50_000
    max_batch_bytes: int = 200_000_000
    max_batch_tokens: int | None = None  # estimated input tokens in one batch
    max_batch_inputs: int | None = None  # embedding inputs, over all lines of a batch
    max_enqueued_tokens: int | None = None  # per account and model, over all batches in flight
    max_enqueued_requests: int | None = None  # likewise, requests (embeddings)
    max_active_batches: int | None = None
    max_creates_per_hour: int | None = None
    context_window: int | None = None  # tokens one request may have, answer included
    max_output_tokens: int | None = None
    flex: bool = False  # the model can be called by flex
