"""A reference -> the task class it names, and back. `path/to/task.json` is a task declared without Python.

`package.module:Class` is imported as any module is; `path/to/file.py:Class` is run as a module of its
own, whose name is made of the file's path and content: the same file gives the same class again, an
edited one a new class. A user's mistake in the file is reported by its place, without a traceback.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from nightmail.errors import TaskError
from nightmail.tasks.base import Task
from nightmail.tasks.declared import load_declared

_FILE_MODULE = "nightmail_task_file_"


def load(reference: str) -> type[Task]:
    """The class that `reference` names; `:Class` may be left out where there is one. Raises `TaskError`."""
    place, class_name = _split(reference)
    if place.endswith(".json"):
        return load_declared(Path(place))
    if place.endswith(".py") or "/" in place or "\\" in place:
        return _class_in(_module_of_file(Path(place)), class_name, place)
    return _class_in(_module_by_name(place), class_name, place)


def reference_of(cls: type[Task]) -> str | None:
    """A reference by which another process finds the class; None if only this one has it.

    That is so for classes inside functions and for what a notebook or a script itself defines.
    """
    if (declared := vars(cls).get("__declared_in__")) is not None:
        return str(declared)
    module = sys.modules.get(cls.__module__)
    if module is None or cls.__module__ == "__main__" or _found(module, cls.__qualname__) is not cls:
        return None
    if cls.__module__.startswith(_FILE_MODULE):
        return f"{inspect.getfile(module)}:{cls.__qualname__}"
    return f"{cls.__module__}:{cls.__qualname__}"


def _split(reference: str) -> tuple[str, str | None]:
    place, colon, name = reference.rpartition(":")
    # The colon of a Windows drive has no class behind it.
    if colon and all(part.isidentifier() for part in name.split(".")):
        return place, name
    return reference, None


def _module_of_file(path: Path) -> ModuleType:
    if path.is_dir():
        raise TaskError(f"{path}: this is a folder; name the file in it that holds the task")
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        raise TaskError(f"{path}: there is no such file") from None
    except OSError as error:
        raise TaskError(f"{path}: cannot be read: {error.strerror}") from error
    path = path.resolve()
    name = _FILE_MODULE + hashlib.sha256(bytes(path) + b"\0" + source).hexdigest()[:16]
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TaskError(f"{path}: a task file ends in .py")
    module = importlib.util.module_from_spec(spec)
    # Typed outputs look their own module up while the classes are being made.
    sys.modules[name] = module
    try:
        with _importable_from(path.parent), _reported(str(path), path):
            exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _module_by_name(name: str) -> ModuleType:
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise TaskError(f"{name!r} is neither a file (tasks.py) nor a module (package.module)")
    with _importable_from(Path.cwd()), _reported(name, None):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
                raise TaskError(
                    f"there is no module {error.name!r}, and no file {name}.py was named"
                ) from None
            raise


@contextmanager
def _importable_from(folder: Path) -> Iterator[None]:
    """What lies beside a task can be imported by it."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


@contextmanager
def _reported(name: str, path: Path | None) -> Iterator[None]:
    """Whatever importing a user's code raises, as one line that says where."""
    try:
        yield
    except (TaskError, KeyboardInterrupt):
        raise
    except SyntaxError as error:
        place = f"{error.filename or name}:{error.lineno}" if error.lineno else name
        raise TaskError(f"{place}: {error.msg}: {(error.text or '').strip()}") from error
    except SystemExit as error:
        raise TaskError(f"{_place(error, name, path)}: it ended the program while it was imported") from error
    except Exception as error:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise TaskError(f"{_place(error, name, path)}: {said}") from error


def _place(error: BaseException, name: str, path: Path | None) -> str:
    """`file:line` of the last step in the user's own file, or in the last file that is not Python's."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == str(path)] if path else []
    if not own:
        machinery = ("<frozen", importlib.__file__, __file__)
        own = [frame for frame in frames if not frame.filename.startswith(machinery)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else name


def _class_in(module: ModuleType, name: str | None, place: str) -> type[Task]:
    tasks = _tasks_of(module)
    if name is not None:
        found = _found(module, name)
        if found is None:
            there = ", ".join(tasks) or "none"
            raise TaskError(f"{place}: there is no class {name!r}; tasks in it: {there}")
        if not _is_task(found):
            raise TaskError(f"{place}: {name!r} is not a subclass of nightmail.Task")
        cls: type[Task] = found
        return cls
    if not tasks:
        raise TaskError(f"{place}: no task in it; write a class that inherits from nightmail.Task")
    if len(tasks) > 1:
        _several(tasks, place)
    return next(iter(tasks.values()))


def _several(tasks: dict[str, type[Task]], place: str) -> NoReturn:
    listed = "\n".join(f"  {place}:{name}" for name in tasks)
    raise TaskError(f"{place}: {len(tasks)} tasks in it; name one of\n{listed}")


def _tasks_of(module: ModuleType) -> dict[str, type[Task]]:
    """The tasks that a module defines itself, without those that only others of it inherit from."""
    own = {
        name: value
        for name, value in vars(module).items()
        if _is_task(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    parents = {parent for cls in own.values() for parent in cls.__mro__[1:]}
    return {name: cls for name, cls in own.items() if cls not in parents or cls.build is not Task.build}


def _is_task(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Task) and value is not Task


def _found(module: ModuleType, dotted: str) -> Any:
    value: Any = module
    for part in dotted.split("."):
        value = getattr(value, part, None)
    return value
