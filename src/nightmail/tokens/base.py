"""The token-counting port."""

from __future__ import annotations

from typing import Any, Protocol

from nightmail.core.request import Endpoint


class Counter(Protocol):
    """Counts for one model. `exact` is False for a model whose encoding is not known: its counts
    carry a safety margin."""

    model: str
    encoding: str
    exact: bool

    def text(self, text: str) -> int:
        """Tokens of a text as one string value inside a request."""
        ...

    def body(self, endpoint: Endpoint, body: dict[str, Any]) -> int:
        """Input tokens of a whole request body: messages or inputs, tools, schema, images, framing.

        For any chat body B and text T: body(B with T as a string value of a message, or as the text of one
        of its parts) differs from body(B with "" there) by exactly text(T), so a template's fixed part is
        counted once. So it is for a Responses `input` or `instructions`, an embedding's input, a prompt.
        """
        ...

    def inputs(self, endpoint: Endpoint, body: dict[str, Any]) -> int:
        """How many inputs the body counts for against a batch's input limit (1 but for embeddings)."""
        ...
