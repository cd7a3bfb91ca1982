from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightmail.errors import TaskError
from nightmail.stages.raised import described
from nightmail.tasks.declared import rendered


def of(call, *arguments: object) -> str:
    try:
        call(*arguments)
    except Exception as error:
        return described(error)
    raise AssertionError("nothing was raised")


def line_of(text: str) -> int:
    return Path(__file__).read_text(encoding="utf-8").split("\n").index(text) + 1


def field(record: dict[str, str]) -> str:
    return record["nope"]


def decoded(text: str) -> object:
    return json.loads(text)


def test_it_is_told_which_line_raised() -> None:
    line = line_of('    return record["nope"]')
    assert of(field, {}) == f"KeyError: 'nope' (test_raised.py:{line})"


def test_of_a_library_s_error_the_line_that_called_it_is_told() -> None:
    said = of(decoded, "{")
    assert said.startswith("JSONDecodeError: ")
    assert said.endswith(f"(test_raised.py:{line_of('    return json.loads(text)')})")


def test_an_error_that_was_never_raised_has_no_line() -> None:
    assert described(ValueError("so")) == "ValueError: so"
    assert described(ValueError()) == "ValueError"


def test_an_error_within_our_own_code_is_told_without_a_line() -> None:
    with pytest.raises(TaskError) as raised:
        rendered("{a}", {})
    assert described(raised.value.with_traceback(raised.tb.tb_next)).endswith("which the prompt names")
