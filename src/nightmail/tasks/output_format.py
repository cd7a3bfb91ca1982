"""The part of a request that asks for structured output, in each endpoint's words."""

from __future__ import annotations

from typing import Any

from nightmail.core.request import Endpoint
from nightmail.tasks.output import OutputForm
from nightmail.tasks.strict import strict_schema

STRUCTURED = (Endpoint.CHAT, Endpoint.RESPONSES)

_FINE_TUNED = "ft:"


class OutputFormat:
    """Asks for one output type; nothing where there is none, or where the endpoint cannot be asked.

    Fine-tuned models take fewer schema keywords than the others, so the schema depends on the model.
    Raises `TaskError` for a type that strict mode cannot express.
    """

    def __init__(self, endpoint: Endpoint, form: OutputForm | None) -> None:
        self._endpoint = endpoint
        self._form = form if endpoint in STRUCTURED else None
        self._schemas: dict[bool, dict[str, Any]] = {}

    def schema(self, model: str) -> dict[str, Any] | None:
        """The strict schema as it is sent to `model`."""
        if self._form is None:
            return None
        fine_tuned = model.startswith(_FINE_TUNED)
        if fine_tuned not in self._schemas:
            self._schemas[fine_tuned] = strict_schema(self._form.schema, fine_tuned=fine_tuned)
        return self._schemas[fine_tuned]

    def part(self, model: str) -> dict[str, Any] | None:
        """`response_format` for chat completions, `text.format` for responses."""
        schema = self.schema(model)
        if schema is None or self._form is None:
            return None
        named = {"name": self._form.name, "schema": schema, "strict": True}
        if self._endpoint is Endpoint.RESPONSES:
            return {"type": "json_schema", **named}
        return {"type": "json_schema", "json_schema": named}

    def added(self, body: dict[str, Any]) -> dict[str, Any]:
        """`body` asking for the output, unless it names a format of its own."""
        part = self.part(str(body["model"]))
        if part is None:
            return body
        if self._endpoint is Endpoint.RESPONSES:
            return {**body, "text": {"format": part, **(body.get("text") or {})}}
        return body if "response_format" in body else {**body, "response_format": part}

    def for_model(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        """`body` with another model, and with the schema as that model takes it."""
        before, after = self.part(str(body.get("model", ""))), self.part(model)
        changed = {**body, "model": model}
        if before == after:
            return changed
        if changed.get("response_format") == before:
            changed["response_format"] = after
        text = changed.get("text")
        if isinstance(text, dict) and text.get("format") == before:
            changed["text"] = {**text, "format": after}
        return changed
