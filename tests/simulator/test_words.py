"""A label is found by its words, however many labels there are to choose from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.simulator.words import Labels, glance, words_of

LABELS = ["admin", "games", "sound and video", "net", "netadmin", "c++"]
MANY = [*LABELS, *(f"label{number}" for number in range(40))]
words = st.sampled_from(
    ["admin", "Admin,", "admins", "game", "games!", "net", "nets", "network", "and", "video", "c", "x"]
)


@pytest.mark.parametrize("labels", [LABELS, MANY])
@given(said=st.lists(words, max_size=12), blank=st.sampled_from([" ", "\n", ", "]))
def test_a_label_is_chosen_by_its_words_if_the_text_has_one(
    labels: list[str], said: list[str], blank: str
) -> None:
    text = blank.join(said)
    chosen = labels[Labels(labels).best(text, glance(text), 0)]

    forms = {label: {form for word in words_of(label) for form in _forms(word)} for label in labels}
    named = [label for label in labels if forms[label] & set(words_of(text))]
    assert not named or chosen in named


def _forms(word: bytes) -> list[bytes]:
    return [word, word + b"s", word.removesuffix(b"s") if len(word) > 3 else word]


def test_the_beginning_and_the_end_of_a_long_text_are_seen() -> None:
    text = f"Games. {'x ' * 500} the net"

    assert glance(text).split()[0] == b"games"
    assert glance(text).endswith(b" net ")
