"""What a rehearsal says at its end, from the verdicts of its nights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from chaos.verdict import Verdict


def lines(verdicts: Sequence[Verdict], *, repeat: str) -> Iterator[str]:
    """The report, line by line; `repeat` is the command that plays a night again, with {seed} in it."""
    struck: Counter[str] = Counter()
    deeds: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    for verdict in verdicts:
        struck.update(verdict.struck)
        deeds.update(verdict.deeds)
        broken.update(kind for kind, _ in verdict.violations)
    records = sum(verdict.records for verdict in verdicts)
    yield f"{len(verdicts)} nights, {records:,} records"
    yield from _table("faults of the provider", struck)
    yield from _table("done to processes", deeds)
    total, kinds = sum(struck.values()) + sum(deeds.values()), len(struck) + len(deeds)
    yield f"{total:,} faults of {kinds} kinds"
    extras = [extra for verdict in verdicts for extra in verdict.extras]
    yield f"{len(extras)} extra batches were found and ended" + ("" if not extras else ":")
    yield from (f"    {extra}" for extra in extras)
    yield f"{sum(broken.values())} violations"
    for verdict in verdicts:
        if verdict.violations:
            yield f"  seed {verdict.seed} ({verdict.told}); again: {repeat.format(seed=verdict.seed)}"
            yield from (f"    {kind}: {what[:1200]}" for kind, what in verdict.violations)


def _table(title: str, counted: Counter[str]) -> Iterator[str]:
    yield f"{title}: {sum(counted.values()):,}"
    for kind, n in sorted(counted.items()):
        yield f"  {kind:<24}{n:>8,}"
