"""A task without Python is a task like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightmail.errors import TaskError
from nightmail.tasks.declared import Declaration, keep, rendered
from nightmail.tasks.load import load, reference_of
from nightmail.tasks.prepared import PreparedTask

SECTIONS = Declaration(name="Sections", model="gpt-4o-mini", prompt="File {name}.", output=["net", "games"])


def test_it_is_found_by_its_file_and_named_by_it(tmp_path: Path) -> None:
    path = keep(SECTIONS, tmp_path)
    assert keep(SECTIONS, tmp_path) == path
    cls = load(str(path))
    assert (cls.__name__, reference_of(cls)) == ("Sections", str(path))
    assert cls().build({"name": "gcc"}) == "File gcc."


def test_loaded_twice_it_is_the_same_task_and_a_changed_one_names_what_changed(tmp_path: Path) -> None:
    def parts(declaration: Declaration) -> dict[str, str]:
        return PreparedTask(load(str(keep(declaration, tmp_path)))).fingerprint()

    before, after = (
        parts(SECTIONS),
        parts(Declaration(name="Sections", model="gpt-4o-mini", prompt="{name}?", output=["net", "games"])),
    )
    assert parts(SECTIONS) == before
    assert {name for name in before if before[name] != after.get(name)} == {"prompt"}


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("{a} and {a}", "x and x"),
        ("{{a}}", "{a}"),
        ("{b.c}", "[1,2]"),
        ("{b}", '{"c":[1,2]}'),
        ("no place", "no place"),
    ],
)
def test_fields_stand_in_their_places(prompt: str, text: str) -> None:
    assert rendered(prompt, {"a": "x", "b": {"c": [1, 2]}}) == text


def test_what_a_record_says_is_not_a_template() -> None:
    assert rendered("{a}", {"a": "{b}", "b": "secret"}) == "{b}"


@pytest.mark.parametrize("prompt", ["{nothing}", "{a.b}", "{a.__class__}"])
def test_a_field_that_is_not_there_is_named(prompt: str) -> None:
    with pytest.raises(TaskError, match="has no field"):
        rendered(prompt, {"a": "x"})


@pytest.mark.parametrize("prompt", ["{}", "{a", "a}", "{a b}", "{a[0]}", "{.a}"])
def test_a_place_that_is_none_is_refused_when_it_is_declared(tmp_path: Path, prompt: str) -> None:
    with pytest.raises(TaskError, match="no place for a field"):
        keep(Declaration(name="T", model="m", prompt=prompt), tmp_path)


def test_a_file_that_declares_no_task_says_why(tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text('{"name": "T"}')
    with pytest.raises(TaskError, match=r"task\.json: .*model"):
        load(str(tmp_path / "task.json"))
