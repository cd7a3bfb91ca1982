"""Text to number of tokens, for one vocabulary: a fast tokenizer, checked before it is trusted.

The first use of a vocabulary in a process loads it (0.3 s) and counts the golden samples shipped in this
package. A build of the wheel that counts them wrongly is not used: tiktoken is, if it has its files here;
else `ConfigError` says so. `scripts/golden_tokens.py` writes the samples.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib import resources
from pathlib import Path

import msgspec

from nightmail.errors import ConfigError
from nightmail.tokens.encodings import CL100K, O200K
from nightmail.tokens.reference import PER_PLACE, Count, differs, places, reference
from nightmail.tokens.vocabulary import vocabulary_file

# What gigatoken calls the rule by which text is cut into words, which the file does not say.
_CUTTING = {CL100K: "cl100k", O200K: "o200k"}

_loading = threading.Lock()
_loaded: dict[str, Count] = {}


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


def tokenizer(vocabulary: str) -> Count:
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


def _checked(vocabulary: str) -> Count:
    file = vocabulary_file(vocabulary)
    try:
        fast = _fast(vocabulary, file)
        wrong = self_test(fast, vocabulary)
    except (ImportError, OSError, RuntimeError) as error:
        wrong = f"{vocabulary}: {error}"
    if wrong is None:
        return fast
    slow = reference(vocabulary)
    if slow is not None and self_test(slow, vocabulary) is None:
        return slow
    raise ConfigError(
        f"tokens cannot be counted on this machine: the installed gigatoken is not usable ({wrong}). "
        "Reinstall it (pip install --force-reinstall gigatoken), or install nightmail[tiktoken], which takes "
        f"more time, and set TIKTOKEN_CACHE_DIR={file.parent}"
    )


def _fast(vocabulary: str, file: Path) -> Count:
    """The fast count, but for the text that it is known to count differently."""
    import gigatoken

    # Named without its special tokens: they are ordinary text.
    encode = gigatoken.Tokenizer.from_tiktoken(file, _CUTTING[vocabulary]).backend.encode
    differently = cache(lambda: reference(vocabulary))

    def count(text: str) -> int:
        if text.isascii():
            return len(encode(text))
        try:
            tokens = len(encode(text))
        except TypeError:
            text = _without_lone_surrogates(text)
            tokens = len(encode(text))
        if differs(text):
            slow = differently()
            return slow(text) if slow is not None else tokens + PER_PLACE * places(text)
        return tokens

    return count


def _without_lone_surrogates(text: str) -> str:
    # Two surrogates that follow each other are one character, as they are for tiktoken.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
