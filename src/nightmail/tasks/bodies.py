"""What `build` returned -> the body of a request, for each endpoint.

A text is the user's message or the input. A list is the messages, the input items, or the texts to
embed; parts without a role (texts, images) become one user message. A dict is the whole body, in which
only what is missing is filled in. The names of the parts are those of the API reference
(platform.openai.com/docs/api-reference, read 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nightmail.core.request import Endpoint
from nightmail.errors import TaskError
from nightmail.tasks.output_format import OutputFormat

CAP_NAMES = {
    Endpoint.CHAT: "max_completion_tokens",
    Endpoint.RESPONSES: "max_output_tokens",
    Endpoint.COMPLETIONS: "max_tokens",
}

TEXT_PLACE = {
    Endpoint.CHAT: "messages",
    Endpoint.RESPONSES: "input",
    Endpoint.EMBEDDINGS: "input",
    Endpoint.COMPLETIONS: "prompt",
    Endpoint.MODERATIONS: "input",
}

# The API refuses a whole request for one empty input.
NOTHING_TO_EMBED = "build returned an empty text; an embedding needs at least one character"

_INSTRUCTING_ROLES = ("system", "developer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Everything of a task's bodies but the record's own part."""

    endpoint: Endpoint
    system: str | None
    parameters: Mapping[str, Any]
    max_output_tokens: int | None
    output_format: OutputFormat
    several_inputs: bool = False

    def body(self, model: str, built: Any) -> dict[str, Any]:
        """The body for what `build` returned. Raises `TaskError` if that cannot be one."""
        if isinstance(built, dict):
            return self._completed(model, built)
        body: dict[str, Any] = {"model": model}
        if self.endpoint is Endpoint.RESPONSES and self.system is not None:
            body["instructions"] = self.system
        body[TEXT_PLACE[self.endpoint]] = self._content(built)
        return self._with_defaults(body)

    def _completed(self, model: str, built: dict[str, Any]) -> dict[str, Any]:
        place = TEXT_PLACE[self.endpoint]
        if place not in built and not (self.endpoint is Endpoint.RESPONSES and "prompt" in built):
            raise TaskError(
                f"build returned a dict without {place!r}. A dict is a whole request body for "
                f"{self.endpoint}; return a text or a list of messages to have the body made for you"
            )
        return self._with_defaults({"model": model, **built})

    def _with_defaults(self, body: dict[str, Any]) -> dict[str, Any]:
        body = {**body, **{name: value for name, value in self.parameters.items() if name not in body}}
        if self.max_output_tokens is not None and not any(name in body for name in CAP_NAMES.values()):
            body[CAP_NAMES[self.endpoint]] = self.max_output_tokens
        return self.output_format.added(body)

    def _content(self, built: Any) -> Any:
        match self.endpoint:
            case Endpoint.CHAT:
                return self._messages(built)
            case Endpoint.RESPONSES:
                return built if isinstance(built, str) else _input_items(_listed(built))
            case Endpoint.EMBEDDINGS:
                return self._texts(built)
            case Endpoint.COMPLETIONS:
                if isinstance(built, str):
                    return built
                raise TaskError(f"build returned {_kind(built)}; for completions return the prompt as a text")
            case Endpoint.MODERATIONS:
                return built if isinstance(built, str) else _one_input(_listed(built))

    def _messages(self, built: Any) -> list[Any]:
        if isinstance(built, str):
            messages: list[Any] = [{"role": "user", "content": built}]
        else:
            messages = _spoken(_listed(built), text_type="text")
            if unspoken := [item for item in messages if not isinstance(item, dict) or "role" not in item]:
                raise TaskError(
                    f"build returned a list in which {unspoken[0]!r:.80} stands beside messages but has no "
                    "`role`; make every item a message, or none"
                )
        if self.system is None or (messages and messages[0].get("role") in _INSTRUCTING_ROLES):
            return messages
        return [{"role": "system", "content": self.system}, *messages]

    def _texts(self, built: Any) -> Any:
        if isinstance(built, str):
            return [built] if self.several_inputs else built
        texts = _listed(built)
        if not all(isinstance(text, str) for text in texts):
            raise TaskError("build returned a list of something else than texts; embeddings take texts")
        if not all(texts):
            raise ValueError(NOTHING_TO_EMBED)
        if self.several_inputs:
            return texts
        if len(texts) > 1:
            raise TaskError(
                f"build returned {len(texts)} texts to embed but the task's output is one vector; "
                "set `output = list` on the task to get a list of vectors"
            )
        return texts[0]


def _listed(built: Any) -> list[Any]:
    if isinstance(built, (list, tuple)):
        if not built:
            raise ValueError("build returned an empty list; there is nothing to ask")
        return list(built)
    raise TaskError(f"build returned {_kind(built)}; return a text, a list of messages, or a body as a dict")


def _kind(value: object) -> str:
    return "nothing (None)" if value is None else f"a {type(value).__name__}"


_PART_TYPES = frozenset(
    {"text", "image_url", "input_text", "input_image", "input_audio", "input_file", "file"}
)


def _is_part(item: Any) -> bool:
    return isinstance(item, str) or (
        isinstance(item, dict) and "role" not in item and item.get("type") in _PART_TYPES
    )


def _spoken(items: list[Any], *, text_type: str) -> list[Any]:
    """Items of which none has a role are the parts of one user message."""
    if not all(_is_part(item) for item in items):
        return items
    parts = [{"type": text_type, "text": item} if isinstance(item, str) else item for item in items]
    return [{"role": "user", "content": parts}]


def _input_items(items: list[Any]) -> list[Any]:
    """The same list as chat takes, in the words of the responses endpoint."""
    return [_input_item(item) for item in _spoken(items, text_type="input_text")]


def _input_item(item: Any) -> Any:
    if (
        not isinstance(item, dict)
        or item.get("role") == "assistant"
        or not isinstance(item.get("content"), list)
    ):
        return item
    return {**item, "content": [_input_part(part) for part in item["content"]]}


def _input_part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    if part.get("type") == "text":
        return {**part, "type": "input_text"}
    if part.get("type") == "image_url" and isinstance(part.get("image_url"), dict):
        image = part["image_url"]
        return {"type": "input_image", "image_url": image["url"], "detail": image.get("detail", "auto")}
    return part


def _one_input(parts: list[Any]) -> list[Any]:
    # A list of bare texts would be judged text by text, giving several results for one record; a list
    # of parts is one input.
    return [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
