"""A module can be read in one sitting."""

from __future__ import annotations

from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "nightmail"
MOST_LINES = 300
# Module: its own ceiling, and why it is not two modules.
EXCUSED: dict[str, tuple[int, str]] = {
    "client.py": (395, "every question and wish that a program can have, in one class"),
    "testing/conformance/stores.py": (410, "one life of a run, read in order by who writes a store"),
}


def lines_of(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


def test_no_module_is_longer_than_its_ceiling() -> None:
    too_long = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        ceiling, _ = EXCUSED.get(name, (MOST_LINES, ""))
        if (lines := lines_of(path)) > ceiling:
            too_long[name] = lines
    assert too_long == {}


def test_an_excuse_is_given_only_where_it_is_needed() -> None:
    assert [name for name in EXCUSED if lines_of(SOURCE / name) <= MOST_LINES] == []
