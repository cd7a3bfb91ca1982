"""A notice on its way to a channel, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from nightmail.core.notice import Notice


class Noticed(NamedTuple):
    """Up to which event notices have been made, and the home's own name, which goes into their ids."""

    event_no: int
    home: str


class Delivery(NamedTuple):
    """A notice that one channel is to be told; `tries` counts this one."""

    notice_no: int
    tries: int
    notice: Notice


class Outgoing(NamedTuple):
    """How many deliveries to a channel are in a state; if pending, when the next is due."""

    channel: str
    state: str
    deliveries: int
    due_at: datetime | None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a notice at one channel: pending, sent or given_up. Times in UTC."""

    channel: str
    state: str
    tries: int
    due_at: datetime | None
    ended_at: datetime | None
    error: str | None
