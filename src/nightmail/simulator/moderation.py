"""Moderation by a short list of words: enough to see flagged and clean texts in a rehearsal."""

from __future__ import annotations

from typing import Any

from nightmail.simulator.words import words_of

_WORDS = {
    "harassment": {b"idiot", b"stupid", b"loser", b"moron"},
    "harassment/threatening": {b"threaten", b"threat"},
    "hate": {b"hate", b"hateful"},
    "hate/threatening": {b"exterminate"},
    "illicit": {b"steal", b"counterfeit", b"smuggle"},
    "illicit/violent": {b"bomb", b"explosive"},
    "self-harm": {b"suicide", b"suicidal"},
    "self-harm/intent": set[bytes](),
    "self-harm/instructions": set[bytes](),
    "sexual": {b"sex", b"sexual", b"porn"},
    "sexual/minors": set[bytes](),
    "violence": {b"kill", b"murder", b"stab", b"shoot", b"attack"},
    "violence/graphic": {b"gore", b"dismember"},
}


def judged(text: str) -> dict[str, Any]:
    """One entry of `results`: a category is flagged if one of its words is in the text."""
    words = set(words_of(text))
    hits = {name: len(words & listed) for name, listed in _WORDS.items()}
    return {
        "flagged": any(hits.values()),
        "categories": {name: hit > 0 for name, hit in hits.items()},
        "category_scores": {name: 0.98 if hit else 0.0001 for name, hit in hits.items()},
        "category_applied_input_types": {name: ["text"] for name in hits},
    }
