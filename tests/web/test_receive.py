"""Webhooks in, over HTTP: what is signed is taken once, the rest is refused."""

import json
import logging
import sqlite3
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from nightmail.core.webhook import headers_of
from nightmail.web.receive import MOST_BYTES
from tests.web.desk import opened as desk_of_all
from tests.web.desk_app import opened

SECRET = "whsec_c2VjcmV0IG9mIHNvbWUgbGVuZ3Ro"
PATH = "/webhooks/openai"
BODY = json.dumps({"type": "batch.completed", "data": {"id": "batch_1"}}).encode()


@pytest.fixture
async def desk(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", f"whsec_b2xk {SECRET}")
    async with opened(tmp_path) as (client, http):
        yield client, http


def signed(body=BODY, *, secret=SECRET, late=0, webhook_id="wh_1"):
    at = datetime.now(UTC) - timedelta(seconds=late)
    return headers_of(secret, message_id=webhook_id, at=at, body=body)


def webhooks_in(client):
    with sqlite3.connect(client.settings.home / "nightmail.db") as database:
        return [row[0] for row in database.execute("SELECT webhook_id FROM webhooks")]


async def test_a_signed_one_is_taken_and_again_and_is_one(desk):
    client, http = desk
    for _ in range(2):
        answer = await http.post(PATH, content=BODY, headers=signed())
        assert (answer.status_code, answer.content) == (204, b"")
    assert webhooks_in(client) == ["wh_1"]


async def test_while_secrets_change_both_are_good(desk):
    client, http = desk
    for secret, name in (("whsec_b2xk", "old"), (SECRET, "new")):
        answer = await http.post(PATH, content=BODY, headers=signed(secret=secret, webhook_id=name))
        assert answer.status_code == 204
    assert sorted(webhooks_in(client)) == ["new", "old"]


@pytest.mark.parametrize(
    ("sign", "body"),
    [
        (dict, BODY),
        (partial(signed, secret="whsec_Zm9yZ2Vk"), BODY),
        (signed, BODY + b" "),
        (partial(signed, late=301), BODY),
        (partial(signed, late=-400), BODY),
        (partial(signed, b"[]"), b"[]"),
    ],
    ids=["unsigned", "forged", "altered", "stale", "of the future", "no event"],
)
async def test_what_is_not_to_be_believed_is_refused_and_not_kept(desk, sign, body):
    client, http = desk
    answer = await http.post(PATH, content=body, headers=sign())
    assert answer.status_code == 400
    assert webhooks_in(client) == []


async def test_a_webhook_reaches_a_service_of_this_machine_by_any_name(tmp_path, monkeypatch):
    """Through a tunnel it comes under the tunnel's name; everything else under that name is refused."""
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", SECRET)
    async with desk_of_all(tmp_path) as office:
        there = {"Host": "abc.tunnel.example"}
        answer = await office.post(PATH, content=BODY, headers={**signed(), **there})
        assert answer.status_code == 204
        for path in ("/api/v1/runs", "/metrics"):
            assert (await office.get(path, headers=there)).status_code == 421, path


async def test_one_that_is_too_large_is_refused_before_it_is_read_whole(desk):
    client, http = desk
    read = 0

    async def endless():
        nonlocal read
        while True:
            read += 1024
            yield b" " * 1024

    answer = await http.post(PATH, content=endless(), headers=signed())
    assert answer.status_code == 413
    assert read <= 2 * MOST_BYTES
    assert webhooks_in(client) == []


async def test_without_a_secret_nothing_is_taken(desk, monkeypatch):
    client, http = desk
    monkeypatch.delenv("OPENAI_WEBHOOK_SECRET")
    answer = await http.post(PATH, content=BODY, headers=signed())
    assert answer.status_code == 503
    assert "OPENAI_WEBHOOK_SECRET is not set" in answer.text
    assert webhooks_in(client) == []


async def test_no_answer_and_no_log_tells_the_secret(desk, caplog):
    caplog.set_level(logging.DEBUG)
    _, http = desk
    told = [(await http.post(PATH, content=BODY, headers=headers)).text for headers in ({}, signed(late=999))]
    assert SECRET not in "".join(told) + caplog.text
    assert "c2VjcmV0" not in "".join(told) + caplog.text
