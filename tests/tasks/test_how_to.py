"""The Python blocks of docs/how-to/write-a-task.md run, in order, and its tasks hold what it says."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nightmail.errors import TaskError
from nightmail.tasks.base import Task
from nightmail.testing.checks import check_task

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-task.md"


@pytest.fixture(scope="module")
def page() -> Any:
    """The names that the page's blocks define, run as one module."""
    text = PAGE.read_text(encoding="utf-8")
    module = types.ModuleType("write_a_task_page")
    sys.modules[module.__name__] = module
    for block in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        line = text[: block.start()].count("\n") + 1
        exec(compile("\n" * line + block[1], str(PAGE), "exec"), module.__dict__)
    yield vars(module)
    del sys.modules[module.__name__]


def test_the_pages_own_tests_pass(page: Any) -> None:
    tests = [value for name, value in page.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


RECORDS = {
    "Sections": ({"short": "a", "body": "b"}, None),
    "Captions": ({"url": "https://example.com/cat.png"}, None),
    "Summaries": ({"text": "Long ago."}, None),
    "Tone": ({"text": "Great!"}, None),
    "Vectors": ({"text": "x" * 5000}, [[0.1], [0.2], [0.3]]),
    "Quotes": ({"text": "It is so."}, {"claim": "So it is.", "quote": "It is so"}),
    "Totals": ({"review": "5 stars"}, {"points": [2, 3]}),
    "Polite": ({"letter": "Dear team"}, None),
}


def test_every_task_of_the_page_is_tried_here(page: Any) -> None:
    tasks = {name for name, value in page.items() if isinstance(value, type) and issubclass(value, Task)}

    assert tasks == RECORDS.keys()


@pytest.mark.parametrize("name", RECORDS)
def test_a_task_of_the_page_works(page: Any, name: str) -> None:
    record, answer = RECORDS[name]

    assert check_task(page[name], record, answer=answer).tokens > 0


def test_the_errors_of_the_page_are_those_that_are_raised(page: Any) -> None:
    class Mine(Task):
        model = "m"

        def build(self, record: Any) -> str:
            return "x"

    shown = dict(re.findall(r"\| `(output[^`]*)`? \(`([^`]*)`\)", PAGE.read_text(encoding="utf-8")))
    assert len(shown) == 3
    for message, annotation in shown.items():
        field = re.search(r"output\.(\w+)", message)
        assert field is not None
        output = msgspec.defstruct("Out", [(field[1], eval(annotation))])
        with pytest.raises(TaskError) as caught:
            check_task(type("Bad", (Mine,), {"output": output}), {})
        assert str(caught.value).replace("`", "").startswith(message)
