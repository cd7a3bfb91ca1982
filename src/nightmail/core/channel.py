"""Who is told: a channel as the settings have it, and what it is told when. No address is in here: it is in
the environment, under a name that is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from nightmail.core.notice import Notice, NoticeKind
from nightmail.core.quiet import QuietHours, loud_at


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """`url_env` names the environment variable with a webhook's URL and `secret_env` the one with the secret
    that signs it; or `apprise_env` the one with an Apprise URL, which reaches people. `kinds` is what it is
    told, everything if empty."""

    name: str
    url_env: str | None = None
    secret_env: str | None = None
    apprise_env: str | None = None
    kinds: tuple[NoticeKind, ...] = ()
    quiet: QuietHours | None = None

    @property
    def for_people(self) -> bool:
        """People get what is due in one message, programs each notice by itself."""
        return self.apprise_env is not None

    def wants(self, notice: Notice) -> bool:
        return not self.kinds or notice.kind in self.kinds


def times_of(channel: Channel, notices: Sequence[Notice], now: datetime) -> list[datetime | None]:
    """When the channel is to be told each of these, None for what it does not want."""
    return [loud_at(channel.quiet, now) if channel.wants(notice) else None for notice in notices]
