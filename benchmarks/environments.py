"""A virtual environment for each peer and one for nightmail, made when it is first wanted.

What is installed of a peer is pinned in `peers.toml`; an environment with anything else is made anew. A peer
that cannot be installed is no error of the benchmark: the reason is told in its place. Ours has what users
of nightmail have, not what its tests need: Arrow, for one, imports pandas wherever that is installed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

TAIL = 600


class NotInstalled(Exception):
    """There is no environment for a peer; says why, in the words of what refused."""


ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venvs"


def python_of_ours(folder: Path = FOLDER) -> Path:
    """The interpreter of the environment in which this source tree is installed, compiled as the peers'
    packages are since they were installed: a changed module would be compiled in the first round, or in each
    one where Python is told to write no bytecode. What the programs beside ours import is there too; pip
    installs groups only since 25.1, which no Python 3.11 brings along."""
    project = (ROOT / "pyproject.toml").read_text()
    beside = tomllib.loads(project)["dependency-groups"]["benchmarks"]
    declared = hashlib.sha256(project.encode()).hexdigest()
    wanted = [["--editable", str(ROOT), *beside]]
    python = _made(folder / "nightmail", wanted, f"{sys.version} {declared}", "3.11")
    _do([python, "-m", "compileall", "-q", ROOT / "src"])
    return python


def python_of(name: str, peer: Mapping[str, Any], folder: Path) -> Path:
    """The interpreter of the peer's environment under `folder`. Raises `NotInstalled`."""
    home = folder / name
    wanted = [[f"{name}=={peer['version']}", *([peer["beside"]] if "beside" in peer else [])]]
    if "files_of" in peer:
        wanted.append(["--no-deps", peer["files_of"]])
    return _made(home, wanted, wanted, peer["python"])


def _made(home: Path, wanted: list[list[str]], mark: Any, least: str) -> Path:
    made = home / "made.json"
    interpreter = home / "bin" / "python"
    if made.exists() and json.loads(made.read_text()) == mark:
        return interpreter
    shutil.rmtree(home, ignore_errors=True)
    base = _interpreter(least)
    print(f"{home.name}: installing {', '.join(wanted[0])}", file=sys.stderr)
    _do([base, "-m", "venv", home])
    for packages in wanted:
        _do([interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
    # Last: an environment that was left half made is made anew.
    made.write_text(json.dumps(mark))
    return interpreter


def _interpreter(least: str) -> str | Path:
    """A Python that is at least this version: this one, or the first that is found. Raises `NotInstalled`."""
    needed = tuple(map(int, least.split(".")))
    if sys.version_info[:2] >= needed:
        return sys.executable
    for candidate in _others():
        asked = subprocess.run(
            [candidate, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, check=False
        )
        if asked.returncode == 0 and tuple(map(int, asked.stdout.split())) >= needed:
            return candidate
    raise NotInstalled(f"needs Python {least} or newer; none was found here")


def _others() -> Iterator[str | Path]:
    for minor in (12, 13, 14):
        if found := shutil.which(f"python3.{minor}"):
            yield found
    # pyenv's own commands answer only for the versions that it is set to.
    yield from sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"), reverse=True)


def _do(command: Sequence[str | Path]) -> None:
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        raise NotInstalled(_errors(done.stdout.decode("utf-8", "replace")))


def _errors(said: str) -> str:
    """What pip calls errors in its output, or its end."""
    errors = [line for line in said.splitlines() if line.startswith("ERROR:")]
    return "\n".join(errors or [said])[-TAIL:].strip()
