"""What a task is, as short digests by part, so that a change can be named and not only noticed.

Methods count by their syntax tree without docstrings: comments, layout and moved lines change nothing.
Attributes of the class and of the instance count by value, the output's schema by its outermost
fields (`output.section`). Functions and constants outside the class do not count.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType
from typing import Any

import msgspec

from nightmail.tasks.base import Task

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def fingerprint(task: Task, schema: dict[str, Any] | None) -> dict[str, str]:
    """Part -> digest, for all that the task's class, its parents below `Task` and the instance define."""
    texts: dict[str, list[str]] = {}
    parents = [cls for cls in reversed(type(task).__mro__) if cls not in Task.__mro__]
    for cls in parents:
        for name, value in vars(cls).items():
            if not (name.startswith("__") and name.endswith("__") and name != "__init__"):
                texts.setdefault(name, []).append(_value_text(value))
    for name, value in vars(task).items():
        if name != "_reader":
            texts.setdefault(name, []).append(_value_text(value))
    for name in ("model", "endpoint", "system", "output"):
        texts.pop(name, None)
    parts = {name: digest("\n".join(found)) for name, found in texts.items()}
    parts |= {
        "endpoint": digest(str(task.endpoint)),
        "system": digest(_value_text(task.system)),
        **_output_parts(task.output, schema),
    }
    return parts


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _output_parts(output: Any, schema: dict[str, Any] | None) -> dict[str, str]:
    if schema is None:
        return {"output": digest(_value_text(output))}
    rest = {key: value for key, value in schema.items() if key not in ("properties", "$defs")}
    definitions = schema.get("$defs", {})
    parts = {"output": digest(_plain_text(rest))}
    for name, field in schema.get("properties", {}).items():
        used = {key: definitions[key] for key in sorted(_definitions_in(field, definitions, set()))}
        parts[f"output.{name}"] = digest(_plain_text([field, used]))
    return parts


def _definitions_in(node: Any, definitions: dict[str, Any], found: set[str]) -> set[str]:
    if isinstance(node, list):
        for value in node:
            _definitions_in(value, definitions, found)
    elif isinstance(node, dict):
        name = str(node.get("$ref", "")).removeprefix("#/$defs/")
        if name in definitions and name not in found:
            found.add(name)
            _definitions_in(definitions[name], definitions, found)
        for value in node.values():
            _definitions_in(value, definitions, found)
    return found


def _value_text(value: Any) -> str:
    inner = getattr(value, "__func__", value)
    inner = inner.fget if isinstance(inner, property) else getattr(inner, "func", inner)
    if isinstance(inner, FunctionType):
        return _function_text(inner)
    if inspect.isclass(value):
        return f"{value.__module__}.{value.__qualname__}"
    return _plain_text(value)


def _plain_text(value: Any) -> str:
    if isinstance(value, Mapping):
        value = dict(value)
    try:
        return msgspec.json.encode(value, order="deterministic").decode()
    except (TypeError, ValueError, UnicodeEncodeError):
        return _ADDRESS.sub("", repr(value))


def _function_text(function: Callable[..., Any]) -> str:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # typed into a console, or in the middle of a statement
        return _code_text(function.__code__) if isinstance(function, FunctionType) else repr(function)
    return _tree_text(tree)


def _tree_text(node: Any) -> str:
    """A syntax tree in words: no positions, no docstrings, nothing empty.

    `ast.dump` would do, but from one Python to the next it shows more or fewer empty fields, and an
    upgrade must not look like a changed prompt.
    """
    if isinstance(node, list):
        return "[" + ",".join(_tree_text(item) for item in node) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            value = value[1:] if ast.get_docstring(node, clean=False) is not None else value
        if value is not None and value != [] and name not in ("ctx", "kind", "type_comment"):
            fields.append(f"{name}={_tree_text(value)}")
    return f"{type(node).__name__}({','.join(fields)})"


def _code_text(code: CodeType) -> str:
    constants = [_code_text(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"
