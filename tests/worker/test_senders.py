"""Real receivers: programs get signed webhooks, people get messages, and no address is ever told."""

import json
import socket
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook as Reference

from nightmail import config
from nightmail.core.channel import Channel
from nightmail.core.ids import RunId
from nightmail.core.notice import Notice, NoticeKind
from nightmail.errors import ChannelFailed, ConfigError
from nightmail.worker.clock import RealClock
from nightmail.worker.senders import senders_for
from tests.worker.receiver import receiver

SECRET = "whsec_" + "c2VjcmV0IG9mIHNvbWUgbGVuZ3Ro"
OPS = Channel(name="ops", url_env="OPS_URL", secret_env="OPS_SECRET")
ME = Channel(name="me", apprise_env="MY_URL")
AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def a_notice(number=1):
    return Notice(
        notice_id=f"ntc_{number}", kind=NoticeKind.RUN_PAUSED, at=AT, run_id=RunId("x-1"),
        title=f"title {number}", text="no credit", to_do="pay",
        eta=(AT, AT + timedelta(hours=1)), facts={"reason": "billing"},
    )  # fmt: skip


def sender(channel, **environment):
    return senders_for([channel], RealClock(), environment=environment)[channel.name]


async def test_a_program_gets_what_the_standard_s_package_believes():
    with receiver() as (url, posts):
        await sender(OPS, OPS_URL=f"{url}/in?token=t", OPS_SECRET=SECRET).send([a_notice()])
    (post,) = posts
    assert post.path == "/in?token=t"
    assert post.headers["webhook-id"] == "ntc_1"
    assert post.headers["content-type"] == "application/json"
    said = Reference(SECRET).verify(post.body, post.headers)
    assert said["type"] == "run_paused"
    assert said["timestamp"] == "2026-11-21T08:00:00Z"
    assert said["data"] == {
        "run_id": "x-1", "batch_id": None, "title": "title 1", "text": "no credit", "to_do": "pay",
        "eta": ["2026-11-21T08:00:00Z", "2026-11-21T09:00:00Z"], "reason": "billing",
    }  # fmt: skip


async def test_a_repetition_has_the_same_id_and_the_same_body():
    with receiver() as (url, posts):
        one = sender(OPS, OPS_URL=url, OPS_SECRET=SECRET)
        await one.send([a_notice()])
        await one.send([a_notice()])
    first, second = posts
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)


@pytest.mark.parametrize("status", [302, 400, 410, 500, 503])
async def test_anything_but_success_is_a_failure_a_redirect_too(status):
    elsewhere = [("location", "http://127.0.0.1:9/elsewhere")]
    with receiver(status, elsewhere) as (url, posts), pytest.raises(ChannelFailed, match=f"ed {status}"):
        await sender(OPS, OPS_URL=url, OPS_SECRET=SECRET).send([a_notice()])
    assert len(posts) == 1


async def test_nobody_there_is_a_failure_that_names_no_address():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ChannelFailed, match="no answer: ConnectError") as failed:
        await sender(OPS, OPS_URL=f"http://127.0.0.1:{port}/t0ken", OPS_SECRET=SECRET).send([a_notice()])
    assert "t0ken" not in str(failed.value)
    assert str(port) not in str(failed.value)


async def test_people_get_all_that_is_due_in_one_message():
    with receiver() as (url, posts):
        me = sender(ME, MY_URL=url.replace("http://", "json://"))
        await me.send([a_notice()])
        await me.send([a_notice(1), a_notice(2)])
    one, two = [json.loads(post.body) for post in posts]
    assert one["title"] == "title 1"
    assert one["message"].split("\n") == [
        "no credit",
        "Probably over between 2026-11-21 08:00 and 2026-11-21 09:00 UTC.",
        "What to do: pay",
    ]
    assert two["title"] == "nightmail: 2 notices"
    assert two["message"].index("title 1") < two["message"].index("title 2")


async def test_people_who_cannot_be_reached_are_a_failure():
    with receiver(500) as (url, _), pytest.raises(ChannelFailed, match="could not deliver"):
        await sender(ME, MY_URL=url.replace("http://", "json://")).send([a_notice()])


@pytest.mark.parametrize(
    ("channel", "environment", "words"),
    [
        (OPS, {"OPS_SECRET": SECRET}, "'ops' needs the environment variable OPS_URL"),
        (OPS, {"OPS_URL": "http://h"}, "'ops' needs the environment variable OPS_SECRET"),
        (OPS, {"OPS_URL": "ftp://h/t0ken", "OPS_SECRET": SECRET}, r"OPS_URL is no http\(s\) URL"),
        (OPS, {"OPS_URL": "http://h", "OPS_SECRET": "whsec_t0ken"}, "OPS_SECRET cannot be used: .*base64"),
        (ME, {"MY_URL": "nonsense://t0ken"}, "MY_URL is no URL that Apprise knows"),
    ],
)
def test_what_is_missing_or_wrong_is_said_by_the_variable_s_name(channel, environment, words):
    with pytest.raises(ConfigError, match=words) as refused:
        sender(channel, **environment)
    assert "t0ken" not in str(refused.value)


def channels_of(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "nightmail.toml").write_text(text)
    return config.read(home=folder, environment={}).channels


def test_channels_come_from_the_home_s_file(tmp_path):
    ops, me = channels_of(
        tmp_path,
        """
        [[notify]]
        name = "ops"
        url_env = "OPS_URL"
        secret_env = "OPS_SECRET"

        [[notify]]
        name = "me"
        apprise_env = "MY_URL"
        kinds = ["run_paused", "budget_used"]
        quiet = "22:00-07:00"
        time_zone = "Europe/Madrid"
        """,
    )
    assert (ops, ops.for_people, me.for_people) == (OPS, False, True)
    assert me.kinds == (NoticeKind.RUN_PAUSED, NoticeKind.BUDGET_USED)
    assert str(me.quiet.zone) == "Europe/Madrid"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('name = "a"', "give url_env or apprise_env"),
        ('name = "a"\nurl_env = "U"', "go together"),
        ('name = "a"\nurl_env = "U"\napprise_env = "A"', "one of them"),
        ('name = "a"\napprise_env = "A"\n[[notify]]\nname = "a"\napprise_env = "A"', "a name of its own"),
        ('name = "a"\napprise_env = "A"\nquiet = "night"', "write them like"),
        ('name = "a"\napprise_env = "A"\nquiet = "1:00-2:00"\ntime_zone = "Nowhere/X"', "Nowhere/X"),
        ('name = "a"\napprise_env = "A"\nkinds = ["all"]', "all"),
        ('name = "a"\nurl = "http://h"', "url"),
    ],
)
def test_a_channel_that_makes_no_sense_is_said(tmp_path, lines, words):
    with pytest.raises(ConfigError, match=words):
        channels_of(tmp_path, f"[[notify]]\n{lines}\n")
