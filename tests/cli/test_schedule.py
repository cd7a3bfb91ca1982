"""`nightmail schedule`: what is told of schedules, and what is refused."""

import json

import pytest

from nightmail.cli.main import main
from tests.end_to_end.command import TASK


@pytest.fixture
def nightmail(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sections.py").write_text(TASK)

    def call(*arguments):
        code = main(["schedule", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


NIGHTLY = ("add", "nightly", "sections.py", "--cron", "0 2 * * *", "--input", "in.jsonl",
           "--output", "{date}.jsonl")  # fmt: skip


def test_its_life(nightmail, tmp_path):
    code, out, _ = nightmail(*NIGHTLY, "--time-zone", "Europe/Berlin", "--budget", "5")
    assert (code, "nightly: 0 2 * * * (Europe/Berlin), next at " in out) == (0, True)
    _, out, _ = nightmail("list", "--json")
    (row,) = json.loads(out)["schedules"]
    assert row["output"] == str(tmp_path / "{date}.jsonl")
    assert (row["options"]["budget"], row["paused"], row["occurrences"]) == ("5", False, [])
    assert "paused" in nightmail("pause", "nightly")[1]
    assert "next at" in nightmail("resume", "nightly")[1]
    assert nightmail("remove", "nightly")[0] == 0
    assert nightmail("list")[1] == "there is no schedule\n"


def test_a_watched_folder_is_told_as_one(nightmail, tmp_path):
    (tmp_path / "in").mkdir()
    code, out, _ = nightmail("add", "inbox", "sections.py", "--watch", "in", "--output", "{date}.jsonl")
    assert (code, f"inbox: watches {tmp_path}/in, as soon as files are there" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*NIGHTLY[:4], "0 2 * *", *NIGHTLY[5:]), "has 4 fields, not 5"),
        ((*NIGHTLY, "--watch", "."), "either a source and a cron expression, or a folder"),
        ((*NIGHTLY[:-1], "answers.jsonl"), "put {date} into its name"),
        (("run", "nightly"), "there is no schedule 'nightly' in this home"),
        (("pause", "nightly"), "there is no schedule 'nightly' in this home"),
    ],
)
def test_what_is_wrong_is_a_usage_error(nightmail, arguments, said):
    nightmail("add", "other", "sections.py", *NIGHTLY[3:])
    code, _, err = nightmail(*arguments)
    assert (code, said in err) == (2, True), err


def test_the_same_name_twice_needs_a_word(nightmail):
    nightmail(*NIGHTLY)
    code, _, err = nightmail(*NIGHTLY)
    assert (code, "--replace" in err) == (2, True)
    assert nightmail(*NIGHTLY, "--replace")[0] == 0
