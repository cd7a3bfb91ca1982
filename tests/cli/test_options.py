from __future__ import annotations

import pytest

from nightmail.cli.options import parse_quotas, spread_quotas
from nightmail.errors import ConfigError


def test_a_quota_is_a_model_and_a_number_with_or_without_separators() -> None:
    given = ["gpt-4o-mini=2_000_000", "gpt-4.1=900,000", "ft:gpt-4o=mini=5"]
    assert parse_quotas(given) == {"gpt-4o-mini": 2_000_000, "gpt-4.1": 900_000, "ft:gpt-4o=mini": 5}
    assert parse_quotas(None) == {}


@pytest.mark.parametrize("entry", ["", "gpt-4o", "=5", "gpt-4o=", "gpt-4o=many", "gpt-4o=-1", "gpt-4o=0"])
def test_a_quota_that_is_none_says_what_one_looks_like(entry: str) -> None:
    with pytest.raises(ConfigError, match="MODEL=TOKENS"):
        parse_quotas([entry])


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--quota", "a=1", "b=2", "--json"], ["--quota", "a=1", "--quota", "b=2", "--json"]),
        (["--quota=a=1", "b=2"], ["--quota=a=1", "--quota", "b=2"]),
        (["--quota", "a=1", "--quota", "b=2"], ["--quota", "a=1", "--quota", "b=2"]),
        (["--quota", "a=1", "task.py", "b=2"], ["--quota", "a=1", "task.py", "b=2"]),
        (["run", "b=2", "--input", "c=3"], ["run", "b=2", "--input", "c=3"]),
        (["--quota"], ["--quota"]),
    ],
)
def test_quotas_may_stand_side_by_side(given: list[str], meant: list[str]) -> None:
    assert spread_quotas(given) == meant
