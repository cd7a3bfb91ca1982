"""What every request says of us: the key, whose account it is, the program, and what a gateway wants to see.

The environment is that of OpenAI's own clients, so that whoever uses one of them has nothing to set anew.
What it holds is looked at before the first call; an HTTP library would tell of it in the middle of one, with
the value, which may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nightmail.errors import ConfigError
from nightmail.telemetry import agent

JSON = {"Content-Type": "application/json"}
CUSTOM = "OPENAI_CUSTOM_HEADERS"
_ACCOUNT = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
# Said by each request of itself.
_OF_ONE_REQUEST = ("accept", "content-type", "content-length", "transfer-encoding")


def headers_for(key: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The headers of all requests, no name in them twice. Lines `NAME: VALUE` of `OPENAI_CUSTOM_HEADERS` are
    the last word, also on `Authorization`. Raises `ConfigError`, with the variable's name and no value."""
    said = {"User-Agent": agent(), "Authorization": f"Bearer {key}"}
    for name, variable in _ACCOUNT.items():
        if value := environment.get(variable, "").strip():
            said[name] = _sendable(value, variable)
    for line in environment.get(CUSTOM, "").split("\n"):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or name.lower() in _OF_ONE_REQUEST:
            continue
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{CUSTOM}: a line has no header's name before its colon; write NAME: VALUE")
        said = {known: kept for known, kept in said.items() if known.lower() != name.lower()}
        said[name] = _sendable(value, f"{CUSTOM}, {name}")
    return said


def _sendable(value: str, where: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ConfigError(f"{where}: contains characters that no header can have")
    return value
