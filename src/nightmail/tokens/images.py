"""How many tokens an image is, by model, size and detail. Pure arithmetic.

Two kinds of models. *Tile* models count 512 px squares of the image fitted into 2048 x 2048 and then to a
shortest side of 768 px (never enlarged), on top of a base; low detail is the base alone. *Patch* models
count 32 px squares up to a budget, times a multiplier. Numbers: OpenAI's guide "Images and vision" and the
tables of litellm 1.109.1, both as of November 2026; where they differ, the larger, because a reservation that
is too small fails a batch and one that is too large only waits.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from nightmail.tokens.encodings import family_name


class Tiles(NamedTuple):
    """A model that counts tiles."""

    base: int
    tile: int


class Budget(NamedTuple):
    """At most so many patches (None: any number), of an image fitted into a square of `max_side` px."""

    patches: int | None
    max_side: int | None = None


class Patches(NamedTuple):
    """A model that counts patches: its multiplier in hundredths, and its budget at each detail."""

    percent: int
    high: Budget
    low: Budget
    original: Budget
    auto: Budget


_SMALL = Budget(1536)
_MIDDLE = Budget(6144, 2048)
_HIGH = Budget(2500, 2048)
_LOW = Budget(None, 512)
_ORIGINAL = Budget(10_000, 6000)
_ANY = Budget(None)


def _fixed(percent: int, budget: Budget) -> Patches:
    return Patches(percent, budget, budget, budget, budget)


# The first that matches the model's name decides. For gpt-5.4-mini and -nano the guide has 1.62 and 2.46,
# litellm 1.2. For gpt-5.4 at low detail litellm has the budget of the models before it. gpt-6 is known for
# gpt-6-astra only and taken to hold for its family.
_FAMILIES: tuple[tuple[str, Tiles | Patches], ...] = (
    (r"gpt-4o-mini", Tiles(2833, 5667)),
    (r"gpt-4\.1-mini", _fixed(162, _SMALL)),
    (r"gpt-4\.1-nano", _fixed(246, _SMALL)),
    (r"gpt-4o|gpt-4\.[15]|gpt-4-turbo|chatgpt-4o", Tiles(85, 170)),
    (r"gpt-5-mini", _fixed(162, _SMALL)),
    (r"gpt-5-nano", _fixed(246, _SMALL)),
    (r"gpt-5(\.1)?(?![.\d])", Tiles(70, 140)),
    (r"gpt-5\.[23](?!\d)", _fixed(120, _MIDDLE)),
    (r"gpt-5\.4-mini", Patches(162, _HIGH, _MIDDLE, _ORIGINAL, _HIGH)),
    (r"gpt-5\.4-nano", Patches(246, _HIGH, _MIDDLE, _ORIGINAL, _HIGH)),
    (r"gpt-5\.4(?!\d)", Patches(120, _HIGH, _MIDDLE, _ORIGINAL, _HIGH)),
    (r"gpt-5\.5(?!\d)", Patches(120, _HIGH, _LOW, _ORIGINAL, _ORIGINAL)),
    (r"gpt-5\.[6-9]", Patches(120, _HIGH, _LOW, _ANY, _ANY)),
    (r"gpt-6", Patches(120, Budget(2500), _LOW, _ANY, _ANY)),
    (r"o4-mini", _fixed(172, _SMALL)),
    (r"o1|o3", Tiles(75, 150)),
    (r"computer-use", Tiles(65, 129)),
)
_PATTERNS = tuple((re.compile(names), rule) for names, rule in _FAMILIES)

# A model of which nothing is known: the dearest per patch of those that count patches.
_UNKNOWN = _fixed(246, _HIGH)

# The most patches of an image whose size is not known, where the model has no budget of its own.
_MOST_PATCHES = 10_000

# 2048 x 768, the largest image after both fittings.
_MOST_TILES = 8


def image_rule(model: str) -> tuple[Tiles | Patches, bool]:
    """How a model counts images, and whether that is known."""
    name = family_name(model)
    for pattern, rule in _PATTERNS:
        if pattern.match(name):
            return rule, True
    return _UNKNOWN, False


def image_tokens(model: str, size: tuple[int, int] | None, detail: str = "auto") -> int:
    """Tokens of an image of `size` (width, height) px; for None, the most that the model ever counts."""
    rule, _ = image_rule(model)
    if isinstance(rule, Tiles):
        if detail == "low":
            return rule.base
        return rule.base + rule.tile * (_MOST_TILES if size is None else _tiles(*size))
    budget = _budget(rule, detail)
    patches = _most(budget) if size is None else _patches(*size, budget)
    return -(-patches * rule.percent // 100)


def _budget(rule: Patches, detail: str) -> Budget:
    match detail:
        case "low":
            return rule.low
        case "high":
            return rule.high
        case "original":
            return rule.original
        case _:
            return rule.auto


def _tiles(width: int, height: int) -> int:
    width, height = _fitted(width, height, 2048)
    shortest = min(width, height)
    if shortest > 768:
        width, height = width * 768 // shortest, height * 768 // shortest
    return math.ceil(width / 512) * math.ceil(height / 512)


def _patches(width: int, height: int, budget: Budget) -> int:
    if budget.max_side is not None:
        width, height = _fitted(width, height, budget.max_side)
    patches = math.ceil(width / 32) * math.ceil(height / 32)
    if budget.patches is None or patches <= budget.patches:
        return patches
    scale = math.sqrt(32 * 32 * budget.patches / (width * height))
    across, down = width * scale / 32, height * scale / 32
    # Both sides fall on whole patches afterwards; a side shorter than one patch stays one patch.
    shrink = min(math.floor(across) / across, math.floor(down) / down)
    if shrink == 0:
        return budget.patches
    fitted = math.ceil(_steady(across * shrink)) * math.ceil(_steady(down * shrink))
    return min(fitted, budget.patches)


def _steady(number: float) -> float:
    # 33.000000000000004 patches are 33.
    return round(number, 9)


def _fitted(width: int, height: int, max_side: int) -> tuple[int, int]:
    longest = max(width, height)
    if longest <= max_side:
        return width, height
    return max(1, round(width * max_side / longest)), max(1, round(height * max_side / longest))


def _most(budget: Budget) -> int:
    by_side = (budget.max_side // 32) ** 2 if budget.max_side is not None else _MOST_PATCHES
    return min(by_side, budget.patches) if budget.patches is not None else by_side
