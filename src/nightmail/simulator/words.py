"""A text as bytes words, and the label that has most words in common with it.

This is all the understanding that the built-in model has, made to be cheap: a text against any
number of labels costs a few microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from zlib import crc32

# Lower-cases ASCII and makes spaces of its punctuation; bytes above 127 are left, so words of other
# scripts stay whole.
_FOLD = bytes(
    byte + 32 if 65 <= byte <= 90 else byte if byte > 127 or chr(byte).isalnum() else 32
    for byte in range(256)
)
_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")
_MAX_SENTENCE = 240
# Of a long text its beginning and its end are read: titles stand in the one, records behind long
# instructions in the other. Reading all of it would be half of the cost of an answer.
_READ = 128
# So many words are looked for by a pattern, which tries one after the other.
_FEW = 24
_SALTS = 0xFFFFFFFF


def words_of(text: str) -> list[bytes]:
    """Words in order, folded."""
    return text.encode("utf-8", "surrogatepass").translate(_FOLD).split()


def glance(text: str) -> bytes:
    """The beginning and the end of a text, folded; there is a space before and after each word."""
    seen = f" {text[:_READ]} {text[-_READ:]} " if len(text) > 2 * _READ else f" {text} "
    return seen.encode("utf-8", "surrogatepass").translate(_FOLD)


def number_of(text: str, salt: int = 0) -> int:
    """A number from the text: the same for the same text, seed and place, on every machine."""
    return crc32(text.encode("utf-8", "surrogatepass"), salt & _SALTS)


def first_sentence(text: str) -> str:
    """The first sentence or line, at most 240 characters."""
    start = 0 if text[:1] > " " else len(text) - len(text.lstrip())
    end = _SENTENCE_END.search(text, start, start + _MAX_SENTENCE)
    return text[start : end.end() if end else start + _MAX_SENTENCE].rstrip()


def sentences(text: str) -> list[str]:
    """Every sentence or line that is not blank, each at most 240 characters; never an empty list."""
    found: list[str] = []
    at = 0
    while at < len(text) and len(found) < 64:
        end = _SENTENCE_END.search(text, at)
        stop = end.end() if end else len(text)
        if sentence := text[at:stop].strip():
            found.append(sentence[:_MAX_SENTENCE])
        at = stop
    return found or [text[:_MAX_SENTENCE]]


class Labels:
    """Chooses among labels by the words that a text shares with them."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._count = len(labels)
        self._shares: dict[bytes, list[tuple[int, float]]] = {}
        self._known = self._shares.__contains__
        self._whole = [label.lower() for label in labels]
        for index, label in enumerate(labels):
            own = set(words_of(label))
            for word in own:
                for form in _forms(word):
                    self._shares.setdefault(form, []).append((index, 1.0 / len(own)))
        # A pattern finds few words sooner than the text is split; with those they begin with it finds all.
        forms = sorted(self._shares)
        stems = [each for each in forms if not any(each != one and each.startswith(one) for one in forms)]
        pattern = re.compile(b" (?:%b)" % b"|".join(map(re.escape, stems)))
        self._may_name_one = pattern.search if 0 < len(stems) <= _FEW else bool

    def best(self, text: str, seen: bytes, salt: int) -> int:
        """The index of the label with the largest share in what was `seen` of the text (`glance`); by chance,
        but always the same, if there is none."""
        shares = self._shares
        # Most texts name no label, and that is found out fastest.
        hits = [*filter(self._known, seen.split())] if self._may_name_one(seen) else []
        if not hits:
            # Scripts without spaces have no words to compare; there a label is looked for as it stands.
            if not text.isascii():
                lowered = text.lower()
                for index, label in enumerate(self._whole):
                    if label and label in lowered:
                        return index
            return crc32(seen, salt & _SALTS) % self._count
        scores: dict[int, float] = {}
        for word in hits:
            for index, share in shares[word]:
                scores[index] = scores.get(index, 0.0) + share
        # Of equals the one that the text names first.
        return max(scores, key=scores.__getitem__)

    def ranked(self, text: str, seen: bytes, salt: int, count: int) -> list[int]:
        """`count` different indices, best first."""
        first = self.best(text, seen, salt)
        return [(first + step) % self._count for step in range(min(count, self._count))]


def _forms(word: bytes) -> set[bytes]:
    return {word, word + b"s", word[:-1]} if word.endswith(b"s") and len(word) > 3 else {word, word + b"s"}
