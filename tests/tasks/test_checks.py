"""The ready-made checks: what they let through, and what they say otherwise."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest

from nightmail.errors import Rejected
from nightmail.tasks import checks

OUTPUT = types.SimpleNamespace(
    why="Because.",
    blank=" ",
    nothing=None,
    n=3,
    tags=["a", "b"],
    empty=[],
    quote="“the  Fox”",
    stub="N/A.",
    form="Dear [insert name], hello",
    inner={"why": ""},
)
SOURCE = 'He saw "The\nfox" there.'


@pytest.mark.parametrize(
    "check",
    [
        lambda: checks.non_empty(OUTPUT, "why", "n", "tags"),
        lambda: checks.non_empty("text"),
        lambda: checks.one_of(OUTPUT, {"a", "b", "c"}, "tags", "nothing"),
        lambda: checks.one_of("a", ["a"]),
        lambda: checks.max_length(OUTPUT, 8, "why", "tags", "nothing"),
        lambda: checks.in_range(OUTPUT, 3, 3, "n", "nothing"),
        lambda: checks.matches(OUTPUT, "[ab]", "tags"),
        lambda: checks.found_in(OUTPUT, SOURCE, "quote", "nothing"),
        lambda: checks.no_placeholder(OUTPUT, "why", "tags"),
        lambda: checks.no_placeholder("Nothing is unknown here"),
    ],
)
def test_a_good_output_passes(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (lambda: checks.non_empty(OUTPUT, "why", "blank"), "`blank` is empty"),
        (lambda: checks.non_empty(OUTPUT, "nothing"), "`nothing` is empty"),
        (lambda: checks.non_empty(OUTPUT, "empty"), "`empty` is empty"),
        (lambda: checks.non_empty(OUTPUT, "inner.why"), "`inner.why` is empty"),
        (lambda: checks.non_empty(""), "the answer is empty"),
        (lambda: checks.one_of(OUTPUT, ["a"], "tags"), "`tags`, item 2 is 'b'; it must be one of 'a'"),
        (lambda: checks.one_of("x", range(30)), "'x'; it must be one of 0, 1"),
        (lambda: checks.max_length(OUTPUT, 7, "why"), "`why` has 8 characters; at most 7"),
        (lambda: checks.max_length(OUTPUT, 1, "tags"), "`tags` has 2 items; at most 1"),
        (lambda: checks.in_range(OUTPUT, 4, 9, "n"), "`n` is 3; it must be from 4 to 9"),
        (lambda: checks.matches(OUTPUT, "[a-z]+", "why"), "`why` is 'Because.'; it must have the form"),
        (lambda: checks.found_in(OUTPUT, SOURCE, "why"), "not in the text; quote it word for word"),
        (lambda: checks.no_placeholder(OUTPUT, "stub"), "`stub` is 'N/A.', a placeholder"),
        (lambda: checks.no_placeholder(OUTPUT, "form"), "a placeholder; give the real value"),
    ],
)
def test_a_bad_output_is_rejected_with_what_to_do(check: Callable[[], Any], said: str) -> None:
    with pytest.raises(Rejected) as caught:
        check()
    assert said in str(caught.value)


def test_a_field_that_is_not_there_is_a_mistake_of_the_task() -> None:
    with pytest.raises(AttributeError):
        checks.non_empty(OUTPUT, "missing")
    with pytest.raises(KeyError):
        checks.non_empty({"a": 1}, "missing")
