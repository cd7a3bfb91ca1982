from __future__ import annotations

import inspect

import pytest

from nightmail import errors
from nightmail.cli.exits import MEANINGS, Exit, exit_of, message_of

CODES = {
    errors.ConfigError: 2,
    errors.RunChanged: 2,
    errors.UnknownRun: 2,
    errors.NotNow: 2,
    errors.TaskError: 2,
    errors.SourceError: 2,
    errors.SinkError: 2,
    errors.DiskFull: 4,
    errors.AuthenticationFailed: 2,
    errors.ProviderError: 4,
    errors.ProviderUnavailable: 4,
    errors.RateLimited: 4,
    errors.QuotaReached: 4,
    errors.BillingBlocked: 4,
    errors.RequestRefused: 4,
    errors.NotFound: 4,
    errors.Unsupported: 4,
    errors.ServiceUnreachable: 4,
    errors.UnknownBatch: 2,
    errors.UnknownRecord: 2,
    errors.ChannelFailed: 70,
    errors.WebhookRefused: 70,
    errors.StoreError: 4,
    errors.LeaseLost: 4,
    errors.SchemaTooNew: 4,
    errors.InternalError: 70,
    errors.IllegalMove: 70,
    errors.NightmailError: 70,
}


@pytest.mark.parametrize(("kind", "code"), CODES.items(), ids=lambda each: getattr(each, "__name__", each))
def test_each_error_has_its_code(kind: type[Exception], code: int) -> None:
    assert exit_of(kind("what happened")) == code


def test_no_error_of_the_tree_is_forgotten() -> None:
    tree = {each for _, each in inspect.getmembers(errors, inspect.isclass)} - {errors.Rejected}
    assert tree == set(CODES)


def test_whatever_is_unforeseen_is_ours_and_asks_to_be_reported() -> None:
    error = KeyError("x")
    assert exit_of(error) is Exit.OURS
    assert "please report" in message_of(error)
    assert "NIGHTMAIL_DEBUG" in message_of(error)


def test_a_refused_key_says_what_to_set_and_only_once() -> None:
    assert "OPENAI_API_KEY" in message_of(errors.AuthenticationFailed("the key is refused."))
    told = "no API key: set OPENAI_API_KEY"
    assert message_of(errors.AuthenticationFailed(told)) == told


def test_every_code_is_explained() -> None:
    assert set(MEANINGS) == set(Exit)
