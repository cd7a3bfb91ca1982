"""Which encoding a model's text is counted in: our own table, because no published one has every model.

tiktoken's table (0.14.0) has no `gpt-6...` and no `omni-moderation...`, and takes `ft:gpt-4.1...` for the
older family. A name that we do not know is counted as o200k_base, the encoding of every OpenAI chat model
since gpt-4o, with `MARGIN` on top, and `exact` is False.
"""

from __future__ import annotations

import re
from typing import NamedTuple

CL100K = "cl100k_base"
O200K = "o200k_base"
HARMONY = "o200k_harmony"

# Added to every count of a model whose encoding we do not know. Vocabularies of 100,000 to 250,000 tokens
# differ by less than this on prose; other scripts may differ by more, which the calibration of a run finds.
MARGIN_PERCENT = 10

# harmony is o200k_base with other special tokens (tiktoken 0.14.0, openai_public.py), and special tokens are
# counted as ordinary text here: the same vocabulary serves both.
VOCABULARY = {CL100K: CL100K, O200K: O200K, HARMONY: O200K}


class Encoding(NamedTuple):
    """The encoding's name and whether the model is known to use it."""

    name: str
    exact: bool


# The first that matches decides. A family's name ends at a dash, a dot, a colon or the end, so that
# `gpt-4` does not take `gpt-4o` or `gpt-4.1`. tiktoken 0.14.0 unless said otherwise.
_FAMILIES = (
    (r"gpt-oss", HARMONY),
    (r"gpt-4o|gpt-4\.[15]|chatgpt-4o", O200K),
    (r"gpt-4|gpt-3\.5(-turbo)?|gpt-35-turbo", CL100K),
    (r"gpt-5(\.\d+)?", O200K),
    # Not in tiktoken. Every OpenAI chat model from gpt-4o to gpt-5.x has o200k_base; these are taken to
    # follow, which the calibration of a run would show if it were wrong.
    (r"gpt-6(\.\d+)?|chatgpt|gpt-chat|codex-mini|computer-use|omni-moderation", O200K),
    (r"o\d+(-mini|-pro)?", O200K),
    (r"text-embedding-(3-(small|large)|ada-002)|davinci-002|babbage-002", CL100K),
)
_PATTERNS = tuple((re.compile(rf"(?:{names})(?=[-:]|$)"), encoding) for names, encoding in _FAMILIES)


def encoding_of(model: str) -> Encoding:
    """The encoding to count a model's text in; never fails."""
    name = family_name(model)
    for pattern, encoding in _PATTERNS:
        if pattern.match(name):
            return Encoding(encoding, exact=True)
    return Encoding(O200K, exact=False)


def family_name(model: str) -> str:
    """The model's own name, lower case: without a prefix (`vllm/name`) and `name` of `ft:name:org::id`."""
    name = model.strip().lower().rpartition("/")[2]
    if name.startswith("ft:"):
        name = name[3:].partition(":")[0]
    return name
