"""The models the simulator knows: dated names, windows, output caps.

Names and windows are those of OpenAI's model pages of 2026-11; a name that is not here is accepted
and echoed as it is, with no window to check, because self-hosted models have any name.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec


class Model(msgspec.Struct, frozen=True):
    """One model. None means "not checked"."""

    name: str
    snapshot: str
    window: int | None = None
    max_output: int | None = None
    dimensions: int | None = None
    reasoning: bool = False
    flex: bool = False
    created: int = 1_700_000_000


_MODELS = [
    Model("gpt-3.5-turbo", "gpt-3.5-turbo-0125", 16_385, 4_096),
    Model("gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct", 4_096, 4_096),
    Model("gpt-4", "gpt-4-0613", 8_192, 8_192),
    Model("gpt-4-turbo", "gpt-4-turbo-2024-04-09", 128_000, 4_096),
    Model("gpt-4o", "gpt-4o-2024-08-06", 128_000, 16_384),
    Model("gpt-4o-mini", "gpt-4o-mini-2024-07-18", 128_000, 16_384),
    Model("gpt-4.1", "gpt-4.1-2025-04-14", 1_047_576, 32_768),
    Model("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", 1_047_576, 32_768),
    Model("gpt-4.1-nano", "gpt-4.1-nano-2025-04-14", 1_047_576, 32_768),
    Model("o1", "o1-2024-12-17", 200_000, 100_000, reasoning=True),
    Model("o3", "o3-2025-04-16", 200_000, 100_000, reasoning=True, flex=True),
    Model("o3-mini", "o3-mini-2025-01-31", 200_000, 100_000, reasoning=True),
    Model("o4-mini", "o4-mini-2025-04-16", 200_000, 100_000, reasoning=True, flex=True),
    Model("gpt-5", "gpt-5-2025-08-07", 400_000, 128_000, reasoning=True, flex=True),
    Model("gpt-5-mini", "gpt-5-mini-2025-08-07", 400_000, 128_000, reasoning=True, flex=True),
    Model("gpt-5-nano", "gpt-5-nano-2025-08-07", 400_000, 128_000, reasoning=True, flex=True),
    Model("gpt-5.1", "gpt-5.1-2025-11-13", 400_000, 128_000, reasoning=True, flex=True),
    Model("davinci-002", "davinci-002", 16_384, 16_384),
    Model("babbage-002", "babbage-002", 16_384, 16_384),
    Model("text-embedding-3-small", "text-embedding-3-small", 8_192, None, 1_536),
    Model("text-embedding-3-large", "text-embedding-3-large", 8_192, None, 3_072),
    Model("text-embedding-ada-002", "text-embedding-ada-002-v2", 8_192, None, 1_536),
    Model("omni-moderation-latest", "omni-moderation-2024-09-26", 32_768),
]
BY_NAME = {model.name: model for model in _MODELS} | {model.snapshot: model for model in _MODELS}
_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")


@lru_cache(maxsize=1024)
def model_named(name: str) -> Model:
    """The model of that name; an unknown one is itself, a fine-tuned one has its parent's windows."""
    if name in BY_NAME:
        return BY_NAME[name]
    parent = name.removeprefix("ft:").split(":", 1)[0] if name.startswith("ft:") else _DATE.sub("", name)
    known = BY_NAME.get(parent)
    if known is None:
        return Model(name, name, flex=True)
    return msgspec.structs.replace(known, name=name, snapshot=name)


def queue_of(name: str) -> str:
    """Whose enqueued-token queue a model shares: an alias and its dated snapshots have one."""
    return BY_NAME[name].name if name in BY_NAME else _DATE.sub("", name)
