"""The files of deploy/ are what their programs take: linted here, not run."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from compose_spec import PyCompose

DEPLOY = Path(__file__).parents[2] / "deploy"
BESIDE = Path(sys.executable).parent


def test_the_dockerfile_is_without_findings() -> None:
    linted = subprocess.run(
        [BESIDE / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (linted.returncode, linted.stdout) == (0, "")


def test_what_the_image_is_built_of_is_sent_to_the_builder() -> None:
    copied = [
        name
        for line in (DEPLOY / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    ]
    sent = (DEPLOY.parent / ".dockerignore").read_text().splitlines()
    assert {f"!{name.removeprefix('./')}" for name in copied} <= set(sent)
    assert all((DEPLOY.parent / name).exists() for name in copied)


def test_the_compose_file_is_one_by_the_specification() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    PyCompose.from_yaml(text).validate()
    with pytest.raises(ValueError, match="cap_dropp"):
        PyCompose.from_yaml(text.replace("cap_drop:", "cap_dropp:"))


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(DEPLOY / "nightmail.service")
    return parser


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    # The program of the unit is not installed here, nor its user.
    text = (DEPLOY / "nightmail.service").read_text()
    command = unit()["Service"]["ExecStart"].split()[0]
    (tmp_path / "nightmail.service").write_text(text.replace(command, shutil.which("true")))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", tmp_path / "nightmail.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_unit_stops_the_service_as_it_wants_to_be_stopped() -> None:
    service = unit()["Service"]
    assert (service["KillSignal"], service["SuccessExitStatus"]) == ("SIGTERM", "3")
    assert service["Restart"] == "on-failure"
