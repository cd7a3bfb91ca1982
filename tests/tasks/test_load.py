"""References to tasks: found, or refused with one clear line."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nightmail.errors import TaskError
from nightmail.tasks.base import Task
from nightmail.tasks.load import load, reference_of

ONE = '''
from nightmail.tasks.base import Task

class Sections(Task):
    """Which?"""
    model = "m"
    def build(self, record):
        return record["text"]
'''
TWO = ONE + ONE.replace("Sections", "Others")


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write_file(source: str, name: str = "mine.py") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
        return str(path)

    return write_file


def problem(reference: str) -> str:
    with pytest.raises(TaskError) as caught:
        load(reference)
    return str(caught.value)


def test_a_file_with_one_task_needs_no_class_name(write: Any) -> None:
    path = write(ONE)

    assert load(path).__name__ == "Sections"
    assert load(f"{path}:Sections") is load(path)


def test_an_edited_file_gives_a_new_class(write: Any) -> None:
    before = load(write(ONE))
    after = load(write(ONE.replace('"m"', '"n"')))

    assert (before.model, after.model) == ("m", "n")


def test_two_files_of_the_same_name_are_two_modules(write: Any) -> None:
    first, second = load(write(ONE, "a/mine.py")), load(write(ONE, "b/mine.py"))

    assert first is not second


def test_what_lies_beside_the_file_can_be_imported(write: Any) -> None:
    write("WORD = 'hello'", "beside_the_task.py")
    before = list(sys.path)
    cls = load(write("import beside_the_task\n" + ONE + "    word = beside_the_task.WORD\n"))

    assert vars(cls)["word"] == "hello"
    assert sys.path == before


def test_typed_outputs_of_a_file_find_their_names(write: Any) -> None:
    source = "from __future__ import annotations\nimport dataclasses\n" + ONE
    source += "\n@dataclasses.dataclass\nclass Size:\n    wide: list[Inner]\n\nclass Inner: ...\n"

    assert load(write(source)).__name__ == "Sections"


def test_a_module_is_imported_by_its_name(
    write: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write("", "tasks_of_mine/__init__.py")
    write(TWO, "tasks_of_mine/first.py")
    monkeypatch.chdir(tmp_path)

    assert load("tasks_of_mine.first:Others").__name__ == "Others"
    assert problem("tasks_of_mine.second") == (
        "there is no module 'tasks_of_mine.second', and no file tasks_of_mine.second.py was named"
    )
    assert problem("tasks_of_mine.first:Missing").endswith(
        "there is no class 'Missing'; tasks in it: Sections, Others"
    )


def test_several_tasks_are_listed_as_they_can_be_named(write: Any) -> None:
    path = write(TWO)

    assert problem(path) == f"{path}: 2 tasks in it; name one of\n  {path}:Sections\n  {path}:Others"
    assert load(f"{path}:Others").__name__ == "Others"


def test_parents_and_imported_tasks_are_not_meant(write: Any) -> None:
    source = ONE.replace(
        "class Sections(Task)", "class Shared(Task):\n    system = 'x'\n\nclass Sections(Shared)"
    )

    assert load(write(source + "\nAlias = Task\n")).__name__ == "Sections"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = (1,\ny = 2 2", "{path}:1: '(' was never closed: x = (1,"),
        ("def f():\n    return 1/0\n\nf()", "{path}:2: ZeroDivisionError: division by zero"),
        (
            "import no_such_module_here",
            "{path}:1: ModuleNotFoundError: No module named 'no_such_module_here'",
        ),
        (
            "import json\n\njson.loads('x')",
            "{path}:3: JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
        ),
        ("import sys\nsys.exit(3)", "{path}:2: it ended the program while it was imported"),
        ("raise RuntimeError", "{path}:1: RuntimeError"),
        ("x = '\0'", "SyntaxError"),
    ],
)
def test_a_broken_file_is_told_by_its_line(write: Any, source: str, message: str) -> None:
    path = write(source)
    modules = set(sys.modules)
    found = problem(path)

    if message == "SyntaxError":  # the words differ between versions of Python
        assert "null bytes" in found
    else:
        assert found == message.replace("{path}", path)
    assert set(sys.modules) <= modules


def test_a_file_without_a_task_says_what_to_write(write: Any) -> None:
    path = write("x = 1")

    assert problem(path) == f"{path}: no task in it; write a class that inherits from nightmail.Task"


def test_a_broken_module_beside_the_file_is_told_by_the_line_that_wants_it(write: Any) -> None:
    write("raise ValueError('no')", "broken_beside.py")
    path = write("\nimport broken_beside\n")

    assert problem(path) == f"{path}:2: ValueError: no"


def test_a_broken_module_is_told_by_its_line(
    write: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write("\n\nraise ValueError('no')", "broken_by_name.py")
    monkeypatch.chdir(tmp_path)

    assert problem("broken_by_name") == f"{path}:3: ValueError: no"


def test_a_reference_to_nothing_says_so(tmp_path: Path) -> None:
    missing, folder = tmp_path / "no.py", tmp_path
    text = tmp_path / "tasks.txt"
    text.write_text("x")

    assert problem(str(missing)) == f"{missing}: there is no such file"
    assert problem(f"{missing}:Mine") == f"{missing}: there is no such file"
    assert problem(f"{folder}/") == f"{folder}: this is a folder; name the file in it that holds the task"
    assert problem(str(text)).endswith("a task file ends in .py")
    assert problem("no such thing") == (
        "'no such thing' is neither a file (tasks.py) nor a module (package.module)"
    )
    assert problem("json:JSONDecoder") == "json: 'JSONDecoder' is not a subclass of nightmail.Task"


def test_another_process_finds_the_class_by_its_reference(write: Any) -> None:
    reference = reference_of(load(write(ONE)))
    assert reference is not None
    program = "import sys; from nightmail.tasks.load import load; print(load(sys.argv[1]).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", program, reference], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "Sections"


def test_a_module_level_class_has_a_reference_and_a_local_one_has_none() -> None:
    class Local(Task): ...

    main = type("Main", (Task,), {"__module__": "__main__"})

    assert reference_of(Task) == "nightmail.tasks.base:Task"
    assert reference_of(Local) is None
    assert reference_of(main) is None


def test_a_loaded_class_can_be_pickled_within_the_process(write: Any) -> None:
    cls = load(write(ONE))

    assert pickle.loads(pickle.dumps(cls)) is cls
