"""Which text the fast tokenizer is known to count differently, and how it is counted then.

gigatoken 0.10.0 was compared with tiktoken 0.14.0 on every code point in 15 surroundings (of the large blocks
of ideographs, on samples), on four million random texts (mixed scripts, case, marks, controls, white space)
and on runs of up to 100,000 of one character. Two classes differ, by a token or two each:

* an apostrophe followed by U+017F (long s), which tiktoken's case-insensitive `'s` takes for a contraction;
* characters that Unicode 17 added: gigatoken knows that they are letters, marks or digits, tiktoken
  (Unicode 16) does not, so that the text is cut elsewhere.

Such text is counted by tiktoken if its vocabulary is on this machine. It is never downloaded: counting works
offline or says so. Without it each such place adds `PER_PLACE` tokens, so that the count is not too low.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from nightmail.tokens.vocabulary import PUBLISHED, in_folder, tiktoken_folder

Count = Callable[[str], int]

# The most that one place has been seen to add is 2; one more for what has not been seen.
PER_PLACE = 3

_LONG_S = "\u017f"
_UNICODE_17 = (
    "\u088f\u0c5c\u0cdc\u1acf-\u1add\u1ae0-\u1aeb\ua7ce\ua7cf\ua7d2\ua7d4\ua7f1"
    "\U00010940-\U00010959\U00010ec5-\U00010ec7\U00010efa\U00010efb\U00011b60-\U00011b67"
    "\U00011db0-\U00011ddb\U00011de0-\U00011de9\U00016ea0-\U00016eb8\U00016ebb-\U00016ed3"
    "\U00016ff2-\U00016ff6\U000187f8-\U000187ff\U00018d09-\U00018d1e\U00018d80-\U00018df2"
    "\U0001e6c0-\U0001e6ff\U0002b73a-\U0002b73f\U0002cea2-\U0002cead\U000323b0-\U00033479"
)
_place = re.compile(f"'{_LONG_S}|[{_UNICODE_17}]")
# A character class of few ranges is searched five times as fast as the exact one.
_perhaps = re.compile(
    "[\u088f\u0c5c\u0cdc\u1acf-\u1aeb\ua7ce-\ua7f1"
    "\U00010940-\U0001e6ff\U0002b73a-\U0002cead\U000323b0-\U00033479]"
).search


def differs(text: str) -> bool:
    """Whether the fast tokenizer may count `text` differently. Costs next to nothing on common text."""
    if text.isascii():
        return False
    if _LONG_S in text and f"'{_LONG_S}" in text:
        return True
    # The characters begin with one of four bytes in UTF-8 that most scripts (Latin, Greek, Cyrillic,
    # Hebrew, Arabic, Chinese, Japanese, and all typographic signs) do not have: a search for a byte
    # is a hundred times as fast as one for a class.
    data = text.encode("utf-8", "replace")
    if 0xF0 in data or 0xE0 in data or 0xE1 in data or 0xEA in data:
        return _perhaps(text) is not None and _place.search(text) is not None
    return False


def places(text: str) -> int:
    """In how many places the fast tokenizer may differ."""
    return len(_place.findall(text))


def reference(vocabulary: str) -> Count | None:
    """tiktoken's count for a vocabulary, or None where it is not installed or has no files here."""
    # It downloads what is missing, and also what has another checksum: both must be ruled out here.
    if vocabulary not in PUBLISHED or in_folder(tiktoken_folder(), vocabulary) is None:
        return None
    try:
        import tiktoken
    except ImportError:
        return None
    try:
        encode = tiktoken.get_encoding(vocabulary).encode_ordinary
    except (KeyError, ValueError, OSError):
        return None

    def count(text: str) -> int:
        return len(encode(text))

    return count
