from __future__ import annotations

import pytest

from nightmail.cli.options import parse_quotas, spread_quotas
from nightmail.cli.run_options import RUN, taking
from nightmail.errors import ConfigError
from nightmail.worker.options import RunOptions


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


def test_every_option_of_a_run_is_there_for_a_command_and_comes_as_the_client_wants_it() -> None:
    """But whose run it is: on a home, nobody's."""
    given: dict[str, object] = {}

    @taking(RUN)
    def command(**asked: object) -> int:
        given.update(asked)
        return 0

    options = {name: each.default for name, each in RUN.items()}
    command(**options | {"quota": ["m=5"], "no_dedupe": True})
    assert given.keys() == RunOptions.__annotations__.keys() - {"tenant"}
    assert (given["quotas"], given["dedupe"]) == ({"m": 5}, False)
