"""A webhook has come in: believe it or not, and make the batch that it names due to be looked at.

It only makes a look due. What is true of a batch is what the look shows, so one that is lost, late, doubled
or out of order does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from nightmail.core.webhook import verified
from nightmail.errors import WebhookRefused
from nightmail.stages.ports import Clock
from nightmail.stores.base import Store

ABOUT_BATCHES = "batch."


class _Data(msgspec.Struct, frozen=True):
    id: str


class _Event(msgspec.Struct, frozen=True):
    type: str
    data: _Data | None = None


async def take(
    store: Store,
    clock: Clock,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Sequence[str],
    look_now: Callable[[], None],
) -> bool:
    """Whether it was new. Durable when this returns. Raises `WebhookRefused`; `headers` has lower-case
    names, `look_now` wakes whoever drives runs here."""
    now = clock.now()
    try:
        webhook_id = verified(headers, body, secrets=secrets, now=now)
        event = msgspec.json.decode(body, type=_Event)
    except (ValueError, msgspec.DecodeError) as error:
        raise WebhookRefused(str(error)) from error
    batch = event.data.id if event.data is not None and event.type.startswith(ABOUT_BATCHES) else None
    new = await store.notices.record_webhook(webhook_id, type=event.type, provider_batch_id=batch, now=now)
    if new and batch is not None:
        look_now()
    return new
