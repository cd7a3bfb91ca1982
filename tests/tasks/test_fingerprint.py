"""Which changes of a task show in its fingerprint, and under which name."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from nightmail.tasks.base import Task
from nightmail.tasks.load import load
from nightmail.tasks.prepared import PreparedTask

SOURCE = '''
import re
from typing import Literal

import msgspec

import nightmail.tasks.base as nightmail


class Answer(msgspec.Struct):
    section: Literal["a", "b"]
    why: str


class Mine(nightmail.Task):
    """Asks."""

    model = "gpt-4o-mini"
    system = "Be brief."
    output = Answer
    prompt = "Which?"
    word = re.compile("a+")

    def __init__(self):
        self.extra = 1

    def build(self, record):
        return self.helper(record) + self.prompt

    def check(self, output, record):
        assert output.why

    @staticmethod
    def helper(record):
        return record["text"]
'''


@pytest.fixture
def parts_of(tmp_path: Path) -> Any:
    def parts(old: str = "", new: str = "", model: str | None = None) -> dict[str, str]:
        assert old in SOURCE
        path = tmp_path / "mine.py"
        path.write_text(SOURCE.replace(old, new) if old else SOURCE)
        return PreparedTask(load(str(path)), model=model).fingerprint()

    return parts


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {part for part in before.keys() | after.keys() if before.get(part) != after.get(part)}


def test_the_parts_are_those_that_a_user_would_name(parts_of: Any) -> None:
    assert set(parts_of()) == {
        "__init__", "build", "check", "endpoint", "extra", "helper", "model", "output", "output.section",
        "output.why", "prompt", "system", "word",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('return record["text"]', 'return record["body"]', {"helper"}),
        ("self.helper(record) +", "self.helper(record) + '\\n' +", {"build"}),
        ('"Which?"', '"Which one?"', {"prompt"}),
        ("Be brief.", "Be long.", {"system"}),
        ('re.compile("a+")', 're.compile("b+")', {"word"}),
        ("self.extra = 1", "self.extra = 2", {"__init__", "extra"}),
        ('Literal["a", "b"]', 'Literal["a", "c"]', {"output.section"}),
        ("    why: str\n", "", {"output", "output.why"}),
        ("    why: str\n", "    why: str\n    more: int\n", {"output", "output.more"}),
        ('    model = "gpt-4o-mini"\n', '    model = "gpt-4o"\n', {"model"}),
        ('    prompt = "Which?"\n', '    prompt = "Which?"\n    endpoint = "responses"\n', {"endpoint"}),
        ('    prompt = "Which?"\n', '    prompt = "Which?"\n    parameters = {"seed": 1}\n', {"parameters"}),
    ],
)
def test_a_change_is_named(parts_of: Any, old: str, new: str, parts: set[str]) -> None:
    assert changed(parts_of(), parts_of(old, new)) == parts


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import re\n", "import re\n\n\n# a comment\n"),
        (
            "return self.helper(record) + self.prompt",
            "return (  # here\n            self.helper(record)\n            + self.prompt)",
        ),
        ("        assert output.why", '        """Says something."""\n        assert output.why'),
        ('"""Asks."""', '"""Asks again."""'),
    ],
)
def test_comments_layout_and_docstrings_change_nothing(parts_of: Any, old: str, new: str) -> None:
    assert parts_of() == parts_of(old, new)


def test_a_model_from_outside_is_the_model(parts_of: Any) -> None:
    assert changed(parts_of(), parts_of(model="o3")) == {"model"}


def test_what_a_parent_defines_counts() -> None:
    class Parent(Task):
        model = "m"
        prompt = "a"

        def build(self, record: Any) -> str:
            return self.prompt

    class One(Parent):
        prompt = "b"

    class Other(Parent):
        prompt = "b"

        def build(self, record: Any) -> str:
            return super().build(record) + "!"

    assert changed(PreparedTask(One).fingerprint(), PreparedTask(Other).fingerprint()) == {"build"}
    assert changed(PreparedTask(One).fingerprint(), PreparedTask(Parent).fingerprint()) == {"prompt"}


def typed(source: str) -> dict[str, str]:
    """The fingerprint of a class that was typed into a console: there is no source to look at."""
    names: dict[str, Any] = {"Task": Task}
    exec(textwrap.dedent(source), names)
    return PreparedTask(names["Mine"]).fingerprint()


def test_a_class_without_source_counts_by_its_code() -> None:
    source = """
        class Mine(Task):
            model = "m"
            def build(self, record):
                return "".join(x + "a" for x in record)
    """
    assert typed(source) == typed("\n\n" + source)
    assert changed(typed(source), typed(source.replace('"a"', '"b"'))) == {"build"}


def test_objects_count_without_their_place_in_memory() -> None:
    class Holder:
        pass

    def parts() -> dict[str, str]:
        task = type("Mine", (Task,), {"model": "m", "build": lambda self, record: "x", "holder": Holder()})
        return PreparedTask(task).fingerprint()

    assert parts() == parts()
