"""A task without Python: a prompt with places for a record's fields, a model, what the answer looks like.

```json
{"name": "sections", "model": "gpt-4o-mini", "prompt": "Which section does {name} belong to?\\n{text}",
 "output": {"type": "object", "properties": {"section": {"type": "string"}}, "required": ["section"]}}
```

It lives in a .json file, so that every process that works on the run finds it. `{field}` stands for the
record's field, `{a.b}` for a field of a field; `{{` and `}}` are braces. Nothing else is evaluated.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from nightmail.errors import TaskError
from nightmail.tasks.base import Task

_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FIELD = re.compile(r"[^\s.{}\[\]]+(\.[^\s.{}\[\]]+)*")


class Declaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a declared task says. `output` is a JSON schema, a list of labels, or none for text."""

    name: str
    model: str
    prompt: str
    system: str | None = None
    output: dict[str, Any] | list[str] | None = None
    endpoint: str = "chat"
    parameters: dict[str, Any] = {}
    max_output_tokens: int | None = None
    fallback_model: str | None = None


class DeclaredTask(Task):
    """A task whose text is a template over the record's fields."""

    prompt: str = ""

    def build(self, record: Any) -> str:
        return rendered(self.prompt, record)


def keep(declaration: Declaration, folder: Path) -> Path:
    """The declaration as a file in `folder`, named by its content: the same one is the same file. Raises
    `TaskError` for a template or a name that cannot be used."""
    content = msgspec.json.encode(declaration, order="deterministic")
    slug = re.sub(r"[^a-z0-9]+", "-", declaration.name.lower()).strip("-")[:30] or "task"
    path = folder / f"{slug}-{hashlib.sha256(content).hexdigest()[:16]}.json"
    _class_of(declaration, path)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        hidden = path.with_name(f".{path.name}.part")
        with hidden.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    return path


def load_declared(path: Path) -> type[Task]:
    """The class that the file declares. Raises `TaskError`."""
    try:
        return _class_of(msgspec.json.decode(path.read_bytes(), type=Declaration), path.resolve())
    except FileNotFoundError:
        raise TaskError(f"{path}: there is no such file") from None
    except OSError as error:
        raise TaskError(f"{path}: cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise TaskError(f"{path}: no task in JSON: {error}") from error


def rendered(prompt: str, record: Any) -> str:
    """The prompt with the record's fields in their places. Raises `TaskError` for one that is not there."""

    def put(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        value = record
        for name in found[1].split("."):
            if not isinstance(value, dict) or name not in value:
                raise TaskError(f"the record has no field {found[1]!r}, which the prompt names")
            value = value[name]
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()

    return _PLACE.sub(put, prompt)


def _class_of(declaration: Declaration, path: Path) -> type[Task]:
    for found in _PLACE.finditer(declaration.prompt):
        if found[0] not in ("{{", "}}") and not (found[1] and _FIELD.fullmatch(found[1])):
            raise TaskError(
                f"{declaration.name}: {found[0]!r} in the prompt is no place for a field: write {{field}}, "
                "or {{ and }} for braces"
            )
    output: Any = declaration.output
    if isinstance(output, list):
        if not output:
            raise TaskError(f"{declaration.name}: the list of labels is empty")
        output = Literal[tuple(output)]
    attributes = {
        "__doc__": f"Declared in {path.name}.",
        "__module__": __name__,
        "__declared_in__": str(path),
        "model": declaration.model,
        "prompt": declaration.prompt,
        "system": declaration.system,
        "output": output,
        "endpoint": declaration.endpoint,
        "parameters": declaration.parameters,
        "max_output_tokens": declaration.max_output_tokens,
        "fallback_model": declaration.fallback_model,
    }
    return type(declaration.name, (DeclaredTask,), attributes)
