"""What is shown live is looked at again and again, and told when it is another."""

from __future__ import annotations

from nightmail.web.changes import SIGN_OF_LIFE, changes
from nightmail.web.loops import Loops


async def told(looks: list[int]) -> list[int | None]:
    """What is told of these looks; the service stops after the last."""
    loops = Loops([])
    left = list(looks)

    async def look() -> int:
        found = left.pop(0)
        if not left:
            loops.stopping.set()
        return found

    seen = changes(look, lambda found: found // 10, loops, may_look=always, every=0)
    return [found async for found in seen]


async def always() -> bool:
    return True


async def test_each_change_is_told_once_and_what_is_no_change_of_shape_is_not() -> None:
    assert await told([10, 11, 12, 20, 20, 11]) == [10, 20, 11]


async def test_where_nothing_changes_there_is_a_sign_of_life() -> None:
    assert await told([10] * (2 * SIGN_OF_LIFE)) == [10, None, None]


async def test_who_may_look_no_more_is_told_no_more() -> None:
    left = [True, True, False]

    async def look() -> int:
        return len(left)

    async def may_look() -> bool:
        return left.pop(0)

    seen = changes(look, lambda found: found, Loops([]), may_look=may_look, every=0)
    assert [found async for found in seen] == [2, 1]
