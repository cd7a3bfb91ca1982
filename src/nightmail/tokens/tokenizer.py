"""Text to number of tokens, for one vocabulary: the fast tokenizer, checked before it is trusted.

The first use of a vocabulary in a process loads it (0.1 to 0.4 s) and counts the golden samples shipped in
this package. A build of the wheel that counts them wrongly is not used: tiktoken is, if it has its files
here; else `ConfigError` says so. `scripts/golden_tokens.py` writes the samples.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from nightmail.errors import ConfigError
from nightmail.tokens.reference import PER_PLACE, Count, differs, places, reference

# Texts that are counted by one call: the library lets go of the interpreter for each call, and beside a
# thread that computes it gets it back 5 ms later. More of them at a time only fill the processor's cache.
PORTION = 256
# A portion of more characters is counted text by text: a call keeps the tokens of all its texts.
LONG = 1_000_000

Counts = Callable[[Sequence[str]], list[int]]

_loading = threading.Lock()
_loaded: dict[str, Tokenizer] = {}


class Tokenizer:
    """Counts tokens: called with a text, that one's; `each` of many."""

    def __init__(self, count: Count, counts: Counts | None = None) -> None:
        self._count = count
        self._counts = counts

    def __call__(self, text: str) -> int:
        return self._count(text)

    def each(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text."""
        if self._counts is None or len(texts) == 1:
            return list(map(self._count, texts))
        found: list[int] = []
        for begin in range(0, len(texts), PORTION):
            portion = texts[begin : begin + PORTION]
            found += self._counts(portion) if sum(map(len, portion)) < LONG else map(self._count, portion)
        return found


class Sample(msgspec.Struct, frozen=True):
    """A text, repeated `times`, and what tiktoken counts for it in each vocabulary."""

    name: str
    text: str
    tokens: dict[str, int]
    times: int = 1


class Golden(msgspec.Struct, frozen=True):
    """The golden file: which tiktoken counted, and the samples."""

    tiktoken: str
    samples: tuple[Sample, ...]


@cache
def golden() -> Golden:
    """The samples shipped with the package."""
    data = resources.files("nightmail.tokens").joinpath("golden.json").read_bytes()
    return msgspec.json.decode(data, type=Golden)


def self_test(count: Count, vocabulary: str) -> str | None:
    """What the first sample is that `count` gets wrong, or None if it counts all of them right."""
    for sample in golden().samples:
        expected = sample.tokens[vocabulary]
        try:
            got = count(sample.text * sample.times)
        except Exception as error:  # a broken extension may raise anything; it must not be used
            return f"{vocabulary}: counting sample {sample.name!r} raised {error!r}"
        if got != expected:
            return f"{vocabulary}: sample {sample.name!r} counted as {got}, not {expected}"
    return None


def tokenizer(vocabulary: str) -> Tokenizer:
    """The tokenizer of a vocabulary, loaded once in a process; safe to use from several threads.

    Special tokens (`<|endoftext|>`) are ordinary text. Lone surrogates, which cannot be sent anyway, count
    as U+FFFD, as tiktoken counts them. Raises `ConfigError` if no tokenizer here counts right.
    """
    if (count := _loaded.get(vocabulary)) is not None:
        return count
    with _loading:
        if vocabulary not in _loaded:
            _loaded[vocabulary] = _checked(vocabulary)
        return _loaded[vocabulary]


def _checked(vocabulary: str) -> Tokenizer:
    try:
        import quicktok

        encoding = quicktok.get_encoding(vocabulary)
        count = _routed(encoding.count, vocabulary)
        wrong = self_test(count, vocabulary)
    except (ImportError, OSError, RuntimeError) as error:
        wrong = f"{vocabulary}: {error}"
    if wrong is None:
        counts = _together(encoding.encode_batch, count)
        samples = golden().samples
        right = counts([each.text * each.times for each in samples]) == [
            each.tokens[vocabulary] for each in samples
        ]
        return Tokenizer(count, counts if right else None)
    slow = reference(vocabulary)
    if slow is not None and self_test(slow, vocabulary) is None:
        return Tokenizer(slow)
    raise ConfigError(
        f"tokens cannot be counted on this machine: the installed quicktok-v1 is not usable ({wrong}). "
        "Reinstall it (pip install --force-reinstall quicktok-v1), or install nightmail[tiktoken] and set "
        "TIKTOKEN_CACHE_DIR to a folder that holds its vocabularies."
    )


def _routed(fast: Count, vocabulary: str) -> Count:
    """The fast count, but for the text that it is known to count differently."""
    differently = cache(lambda: reference(vocabulary))

    def count(text: str) -> int:
        if text.isascii():
            return fast(text)
        try:
            tokens = fast(text)
        except TypeError:
            text = _without_lone_surrogates(text)
            tokens = fast(text)
        if differs(text):
            slow = differently()
            return slow(text) if slow is not None else tokens + PER_PLACE * places(text)
        return tokens

    return count


def _together(encode_batch: Callable[[list[str], int, bool], tuple[Any, Any]], count: Count) -> Counts:
    """The same by one call, in one thread; what needs a look of its own gets it."""

    def counts(texts: Sequence[str]) -> list[int]:
        try:
            _, ends = encode_batch(list(texts), 1, False)
        except TypeError:
            return list(map(count, texts))
        found: list[int] = (ends[1:] - ends[:-1]).tolist()
        if not all(map(str.isascii, texts)):
            for place, text in enumerate(texts):
                if not text.isascii() and differs(text):
                    found[place] = count(text)
        return found

    return counts


def _without_lone_surrogates(text: str) -> str:
    # Two surrogates that follow each other are one character, as they are for tiktoken.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
