"""Counting text: equal to tiktoken's, checked before it is trusted, from any thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightmail.errors import ConfigError
from nightmail.tokens import tokenizer as module
from nightmail.tokens.reference import PER_PLACE, differs, places, reference
from nightmail.tokens.tokenizer import golden, self_test, tokenizer

Count = Callable[[str], int]
LONG_S = "a'\u017f'Se"
UNICODE_17 = "\u1738\u1ada\u179d"


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has counted nothing yet."""
    monkeypatch.setattr(module, "_loaded", {})


@pytest.fixture
def no_reference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fresh: None) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))


def test_counts_equal_the_golden_file(vocabulary: str) -> None:
    assert self_test(tokenizer(vocabulary), vocabulary) is None


def test_the_golden_file_covers_every_kind_of_text() -> None:
    names = {sample.name for sample in golden().samples}
    assert names > {
        "prose",
        "python",
        "chinese",
        "emoji",
        "special tokens",
        "whitespace",
        "mixed scripts",
        "json",
        "url",
    }


def test_the_golden_file_is_what_tiktoken_counts(vocabulary: str, tiktoken_count: Count) -> None:
    assert self_test(tiktoken_count, vocabulary) is None


@settings(max_examples=settings.default.max_examples * 3)
@given(text=st.text(max_size=80))
@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
def test_any_text_counts_as_with_tiktoken(name: str, text: str) -> None:
    slow, fast = reference(name), tokenizer(name)
    assert slow is not None
    if differs(text):
        assert slow(text) <= fast(text) <= slow(text) + 2 * PER_PLACE * places(text)
    else:
        assert fast(text) == slow(text)


@pytest.mark.parametrize("text", [LONG_S, UNICODE_17, " I'\u017f", "x" + UNICODE_17 * 20])
def test_text_that_the_fast_tokenizer_counts_differently_goes_to_tiktoken(
    text: str, vocabulary: str, tiktoken_count: Count, fresh: None
) -> None:
    assert tokenizer(vocabulary)(text) == tiktoken_count(text)


def test_without_tiktokens_files_such_text_is_rather_counted_too_high(
    no_reference: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tokenizer("o200k_base")
    assert count(LONG_S) == 5 + PER_PLACE
    assert count("plain") == 1


def test_special_tokens_are_ordinary_text(vocabulary: str) -> None:
    assert tokenizer(vocabulary)("<|endoftext|>") > 1


def test_lone_surrogates_count_as_the_replacement_character(vocabulary: str) -> None:
    count = tokenizer(vocabulary)
    assert count("a\ud800b") == count("a\ufffdb")
    assert count("\ud83d\ude00") == count("\U0001f600")


def test_a_tokenizer_that_counts_wrongly_is_replaced_by_tiktoken(
    vocabulary: str, tiktoken_count: Count, fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gigatoken", _gigatoken(lambda text: text[::4]))
    assert tokenizer(vocabulary)("The night mail left late.") == tiktoken_count("The night mail left late.")


def test_a_tokenizer_that_counts_wrongly_is_a_clear_error_where_nothing_replaces_it(
    no_reference: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gigatoken", _gigatoken(list))
    with pytest.raises(ConfigError, match=r"sample 'prose' counted as .* Reinstall it"):
        tokenizer("o200k_base")


def test_a_tokenizer_that_cannot_be_loaded_is_a_clear_error_which_names_what_is_here(
    no_reference: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gigatoken", None)
    with pytest.raises(ConfigError, match="gigatoken is not usable") as raised:
        tokenizer("o200k_base")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(raised.value).rpartition("TIKTOKEN_CACHE_DIR=")[2])
    assert tokenizer("o200k_base")("The night mail left late.") == 6


def test_a_tokenizer_that_raises_is_not_trusted(vocabulary: str) -> None:
    def broken(text: str) -> int:
        raise MemoryError(text)

    assert "raised MemoryError" in (self_test(broken, vocabulary) or "")


def test_threads_that_begin_together_load_once_and_count_alike(
    fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    load = module._checked

    def counted(vocabulary: str) -> Count:
        loads.append(vocabulary)
        return load(vocabulary)

    monkeypatch.setattr(module, "_checked", counted)
    together = threading.Barrier(8)
    texts = [sample.text * sample.times for sample in golden().samples]

    def count_all(_: int) -> list[int]:
        together.wait()
        return [tokenizer("o200k_base")(text) for text in texts]

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(count_all, range(8)))
    assert loads == ["o200k_base"]
    assert all(each == [sample.tokens["o200k_base"] for sample in golden().samples] for each in counts)


def test_importing_nightmail_tokens_loads_no_tokenizer() -> None:
    import subprocess

    code = (
        "import sys, nightmail.tokens.counter as c; c.counter_for('gpt-4o');"
        "print(sys.modules.keys() & {'gigatoken', 'quicktok', 'numpy'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def _gigatoken(encode: Callable[[str], Sequence[Any]]) -> SimpleNamespace:
    loaded = SimpleNamespace(backend=SimpleNamespace(encode=encode))
    return SimpleNamespace(Tokenizer=SimpleNamespace(from_tiktoken=lambda file, cutting: loaded))
