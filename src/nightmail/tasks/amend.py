"""Changes to a body that exists already: a complaint added, a cap raised, a text shortened.

Each function takes the body as Python values and returns a new one; what it was given stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from nightmail.core.request import Endpoint
from nightmail.tasks.bodies import CAP_NAMES, TEXT_PLACE

# Below this a text is no longer worth sending.
MIN_CHARACTERS = 16

_Replace = Callable[[Any], dict[str, Any]]


def with_complaint(
    body: dict[str, Any], endpoint: Endpoint, *, answer: str | None, complaint: str
) -> dict[str, Any]:
    """The conversation with the bad answer and what is wrong with it.

    Embeddings and moderations hold no conversation: their body comes back unchanged.
    """
    place = TEXT_PLACE[endpoint]
    asked_again = (
        f"Your answer was not accepted: {complaint}\n"
        "Answer the original request again, completely and in the required form."
    )
    said = [{"role": "assistant", "content": answer}] if answer else []
    turns = [*said, {"role": "user", "content": asked_again}]
    before = body.get(place)
    if endpoint is Endpoint.COMPLETIONS and isinstance(before, str):
        return {**body, place: f"{before}{answer or ''}\n\n{asked_again}\n\n"}
    if endpoint is Endpoint.RESPONSES and isinstance(before, str):
        before = [{"role": "user", "content": before}]
    if endpoint not in (Endpoint.CHAT, Endpoint.RESPONSES):
        return body
    return {**body, place: [*(before or []), *turns]}


def cap_of(body: dict[str, Any]) -> int | None:
    """The output cap that a body sets, by whichever name."""
    return next((body[name] for name in _cap_names() if isinstance(body.get(name), int)), None)


def with_cap(body: dict[str, Any], endpoint: Endpoint, cap: int) -> dict[str, Any]:
    """The body with another output cap, under the name that it already uses."""
    name = next((name for name in _cap_names() if name in body), CAP_NAMES.get(endpoint))
    return body if name is None else {**body, name: cap}


def _cap_names() -> tuple[str, ...]:
    return tuple(CAP_NAMES.values())


def shortened(body: dict[str, Any], endpoint: Endpoint, over_tokens: int) -> dict[str, Any] | None:
    """The body with about `over_tokens` fewer: the longest text that a user says loses its end.

    How many tokens a text loses is only estimated, so count and call again until it fits. None if
    there is no text left to cut.
    """
    places = list(_user_texts(body, TEXT_PLACE[endpoint]))
    text, replace = max(places, key=lambda place: len(place[0]), default=("", None))
    if replace is None or len(text) < MIN_CHARACTERS:
        return None
    return replace(_cut(text, over_tokens))


def _cut(text: str, over_tokens: int) -> str:
    # English has about 4 characters a token, Chinese about 1; UTF-8 bytes tell which it is. Half of
    # the text is the most that goes at once, so that a bad estimate cannot throw everything away.
    bytes_each = len(text.encode("utf-8", "replace")) / len(text)
    characters_each_token = 4 if bytes_each < 1.5 else 1.5
    dropped = int((over_tokens + 8) * characters_each_token)
    end = max(len(text) - dropped, len(text) // 2)
    space = text.rfind(" ", max(0, end - 50), end)
    return text[: space if space > 0 else end].rstrip()


def _user_texts(body: dict[str, Any], place: str) -> list[tuple[str, _Replace]]:
    """Every text of a user in the body, with what puts another one there."""
    content = body.get(place)
    return _texts(content, "user", lambda new: {**body, place: new})


def _texts(node: Any, role: str, put: _Replace) -> list[tuple[str, _Replace]]:
    if isinstance(node, str):
        return [(node, put)] if role == "user" else []
    found: list[tuple[str, _Replace]] = []
    if isinstance(node, list):
        for at, item in enumerate(node):
            found += _texts(item, role, partial(_put_item, put, node, at))
    elif isinstance(node, dict):
        for key in ("content", "text"):
            if key in node:
                found += _texts(node[key], node.get("role", role), partial(_put_value, put, node, key))
    return found


def _put_item(put: _Replace, items: list[Any], at: int, new: Any) -> dict[str, Any]:
    return put([*items[:at], new, *items[at + 1 :]])


def _put_value(put: _Replace, node: dict[str, Any], key: str, new: Any) -> dict[str, Any]:
    return put({**node, key: new})
