"""Reach a channel: a program by a signed webhook, people through Apprise. No address and no secret is ever in
what is raised here, because that is stored and logged."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from nightmail.core.channel import Channel
from nightmail.core.notice import Notice
from nightmail.core.webhook import headers_of, key_of
from nightmail.errors import ChannelFailed, ConfigError
from nightmail.network import may_be_proxied
from nightmail.stages.ports import Clock
from nightmail.telemetry import agent
from nightmail.worker.outbox import Sender

if TYPE_CHECKING:
    import httpx2

TIMEOUT = 15.0  # seconds that a receiver has for one message


def senders_for(
    channels: Sequence[Channel], clock: Clock, *, environment: Mapping[str, str] | None = None
) -> dict[str, Sender]:
    """A sender for each channel, with the addresses and secrets that the environment has. Raises
    `ConfigError` with the name of a variable that is not set or cannot be used."""
    said = os.environ if environment is None else environment
    found: dict[str, Sender] = {}
    for channel in channels:
        if channel.apprise_env is not None:
            found[channel.name] = People(_value(said, channel, channel.apprise_env), channel.apprise_env)
            continue
        assert channel.url_env is not None
        assert channel.secret_env is not None
        url, secret = (_value(said, channel, name) for name in (channel.url_env, channel.secret_env))
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"{channel.url_env} is no http(s) URL; the channel {channel.name!r} needs one")
        try:
            key_of(secret)
        except ValueError as error:
            raise ConfigError(f"{channel.secret_env} cannot be used: {error}") from error
        found[channel.name] = Webhook(url, secret, clock)
    return found


def _value(said: Mapping[str, str], channel: Channel, name: str) -> str:
    if not (value := said.get(name, "").strip()):
        raise ConfigError(
            f"the channel {channel.name!r} needs the environment variable {name}, which is not set"
        )
    return value


def message_of(notice: Notice) -> bytes:
    """What a webhook's receiver gets: `type`, `timestamp` and `data`, as Standard Webhooks advises."""
    data = {
        "run_id": notice.run_id,
        "batch_id": notice.batch_id,
        "title": notice.title,
        "text": notice.text,
        "to_do": notice.to_do,
        "eta": notice.eta,
        **notice.facts,
    }
    return msgspec.json.encode({"type": notice.kind, "timestamp": notice.at, "data": data})


def text_of(notice: Notice) -> str:
    """What people read, below the title."""
    lines = [notice.text]
    if notice.eta is not None:
        first, last = notice.eta
        lines.append(f"Probably over between {first:%Y-%m-%d %H:%M} and {last:%Y-%m-%d %H:%M} UTC.")
    if notice.to_do is not None:
        lines.append(f"What to do: {notice.to_do}")
    return "\n".join(lines)


class Webhook:
    """Posts each notice, signed, under its own id. Anything but a 2xx is a failure, a redirect too."""

    def __init__(
        self, url: str, secret: str, clock: Clock, *, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._url = url
        self._secret = secret
        self._clock = clock
        self._transport = transport
        self._proxied = may_be_proxied(url)

    async def send(self, notices: Sequence[Notice]) -> None:
        import httpx2

        async with httpx2.AsyncClient(
            timeout=TIMEOUT, follow_redirects=False, transport=self._transport, trust_env=self._proxied
        ) as client:
            for notice in notices:
                body = message_of(notice)
                signed = headers_of(
                    self._secret, message_id=notice.notice_id, at=self._clock.now(), body=body
                )
                headers = {"content-type": "application/json", "user-agent": agent(), **signed}
                try:
                    async with (
                        asyncio.timeout(TIMEOUT),
                        # The answer's body is of no interest, and may be endless.
                        client.stream("POST", self._url, content=body, headers=headers) as answer,
                    ):
                        status = answer.status_code
                except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
                    # Only the kind: the text of some names the address.
                    raise ChannelFailed(f"no answer: {type(error).__name__}") from None
                if not 200 <= status < 300:
                    raise ChannelFailed(f"the receiver answered {status}")


class People:
    """Tells people, by whatever Apprise reaches: several notices in one message."""

    def __init__(self, url: str, variable: str) -> None:
        try:
            import apprise
        except ImportError:
            raise ConfigError(
                "telling people needs Apprise, which is not installed: pip install 'nightmail[serve]'"
            ) from None
        self._apprise = apprise.Apprise()
        if not self._apprise.add(url):
            raise ConfigError(f"{variable} is no URL that Apprise knows (https://github.com/caronc/apprise)")

    async def send(self, notices: Sequence[Notice]) -> None:
        if len(notices) == 1:
            title, body = notices[0].title, text_of(notices[0])
        else:
            title = f"nightmail: {len(notices)} notices"
            body = "\n\n".join(f"{each.title}\n{text_of(each)}" for each in notices)
        try:
            async with asyncio.timeout(TIMEOUT * 2):
                taken = await asyncio.to_thread(self._apprise.notify, title=title, body=body)
        except TimeoutError:
            raise ChannelFailed("no answer in time") from None
        except Exception as error:
            # A plug-in of Apprise may raise anything; its text may hold the address.
            raise ChannelFailed(f"Apprise failed: {type(error).__name__}") from None
        if not taken:
            raise ChannelFailed("Apprise could not deliver it")
