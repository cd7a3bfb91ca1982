"""How promises are shown: what is printed, and how the use of a queue is measured."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from chaos.filling import use_while_work_waits
from chaos.place import Shown

from chaos import promises


def test_a_kept_promise_is_told_with_its_figures_and_a_broken_one_says_what_is_wrong():
    shown = Shown("ten kills", {"kills": 10_000, "cost_usd": "0.25"})
    assert list(promises.lines(shown, 12.4))[-1] == "    kept"

    shown.must(True, "never said")
    shown.must(False, "3 keys are missing")
    told = [" ".join(line.split()) for line in promises.lines(shown, 12.4)]
    assert told == [
        "ten kills (12 s)", "kills 10,000", "cost_usd 0.25", "BROKEN: 3 keys are missing", "1 broken"
    ]  # fmt: skip


def test_only_the_time_between_the_first_and_the_last_create_call_counts():
    levels = [(90.0, 50), (110.0, 100), (115.0, 20), (125.0, 0)]
    here = SimpleNamespace(
        rows_of=lambda query: [(f"2026-11-21T00:00:{at}+00:00",) for at in ("20", "00", "10")],
        simulator=SimpleNamespace(get=lambda path: [(MIDNIGHT + at - 100, tokens) for at, tokens in levels]),
    )

    use, seconds = use_while_work_waits(here, 100)

    assert seconds == 20
    assert use == pytest.approx((10 * 50 + 5 * 100 + 5 * 20) / 20 / 100)


MIDNIGHT = 1_795_219_200.0  # 2026-11-21T00:00:00Z


def test_an_unknown_name_is_refused_before_anything_is_shown(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["promises", "quota", "quote"])

    with pytest.raises(SystemExit) as ended:
        promises.main()

    assert ended.value.code == 2
    assert "there is no 'quote'" in capsys.readouterr().err
