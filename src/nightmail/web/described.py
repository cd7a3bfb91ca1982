"""The API's description of itself: OpenAPI, with our own form of errors instead of FastAPI's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from nightmail.web.problems import MEDIA_TYPE, ProblemDetails, documented

TEMPLATE = "#/components/schemas/{model}"
# Shapes of bodies that routes read themselves, so that FastAPI does not describe them.
READ_BY_HAND: list[type[BaseModel]] = [ProblemDetails]
# Paths whose routes are plain ones, and what each describes itself as.
BY_HAND: dict[str, dict[str, Any]] = {}


def describing(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What replaces `app.openapi`."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _mended(plain())
        return app.openapi_schema

    return openapi


def _mended(schema: dict[str, Any]) -> dict[str, Any]:
    shapes = schema["components"]["schemas"]
    for model in READ_BY_HAND:
        shape = model.model_json_schema(ref_template=TEMPLATE)
        shape.pop("$defs", None)
        shapes[model.__name__] = shape
    schema["paths"] |= BY_HAND
    for name in ("HTTPValidationError", "ValidationError"):
        shapes.pop(name, None)
    for methods in schema["paths"].values():
        for call in methods.values():
            wrong = call["responses"].get("422")
            if wrong is not None and MEDIA_TYPE not in wrong.get("content", {}):
                call["responses"]["422"] = documented(422)[422]
    return schema
