"""List every call of the HTTP API in docs/reference/api.md from its own OpenAPI description."""

from __future__ import annotations

from typing import Any

from generated import publish, table

from nightmail.client import Client
from nightmail.web.app import app

METHODS = ("get", "post", "put", "patch", "delete")


def body() -> str:
    """The calls by resource, then the shapes that go in and come out."""
    described = app(Client()).openapi()
    schemas: dict[str, Any] = described["components"]["schemas"]
    calls: dict[str, list[str]] = {}
    for path, methods in described["paths"].items():
        for method in METHODS:
            if method in methods:
                call = methods[method]
                calls.setdefault(call["tags"][0], []).append(_call(method, path, call))
    parts = [f"## {tag.capitalize()}\n\n" + "\n\n".join(found) for tag, found in calls.items()]
    shapes = [_shape(name, schema) for name, schema in sorted(schemas.items()) if "properties" in schema]
    return "\n\n".join([*parts, "## Shapes", *shapes])


def _call(method: str, path: str, call: dict[str, Any]) -> str:
    parts = [f"### {method.upper()} {path}", call["description"].replace("\n", " ")]
    asked = [
        [f"`{each['name']}`", _kind(each["schema"]), each.get("description", "")]
        for each in call.get("parameters", [])
        if each["in"] == "query"
    ]
    if asked:
        parts.append(table(["asked for by", "", ""], asked))
    taken = call.get("requestBody", {}).get("content", {}).values()
    parts.extend(f"Takes {_kind(content['schema'])}." for content in taken)
    answers = []
    for status, answer in call["responses"].items():
        kinds = [_kind(content.get("schema", {})) for content in answer.get("content", {}).values()]
        if "`ProblemDetails`" not in kinds:
            answers.append(f"{status} {' or '.join(dict.fromkeys(kinds)) or 'nothing'}")
    problems = [
        status
        for status, answer in call["responses"].items()
        if any(
            _kind(each.get("schema", {})) == "`ProblemDetails`" for each in answer.get("content", {}).values()
        )
    ]
    said = f"Answers {', '.join(answers)}"
    parts.append(f"{said}; problems {', '.join(problems)}." if problems else f"{said}.")
    return "\n\n".join(parts)


def _shape(name: str, schema: dict[str, Any]) -> str:
    needed = schema.get("required", [])
    rows = [
        [f"`{field}`", _kind(each), "required" if field in needed else "", each.get("description", "")]
        for field, each in schema["properties"].items()
    ]
    lead = schema.get("description", "").replace("\n", " ")
    return "\n\n".join(filter(None, [f"### {name}", lead, table(["", "", "", ""], rows)]))


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if "items" in schema else "list"
    if schema.get("format") == "binary":
        return "a file"
    return str(
        schema.get("format") or (schema.get("title") and schema.get("type")) or schema.get("type", "any")
    )


if __name__ == "__main__":
    publish("docs/reference/api.md", body(), script=__file__)
