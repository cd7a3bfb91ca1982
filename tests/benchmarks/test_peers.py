"""The list of peers is whole: a program for each, facts for each, and a reason for each that is not there."""

import ast
import tomllib

import pytest

from tests.benchmarks.scripts import BENCHMARKS, load

environments = load("environments")
PEERS = tomllib.loads((BENCHMARKS / "peers.toml").read_text())
NAMED = {
    "batchor", "bespokelabs-curator", "langbatch", "openai-batch", "instructor", "autobatcher", "inspect_ai",
}  # fmt: skip
FACTS = {
    "module", "version", "python", "licence", "looks", "asked", "output", "durable", "tokens", "validation",
    "retry", "recovery",
}  # fmt: skip


def test_these_are_the_peers():
    assert PEERS.keys() == NAMED


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_peer_has_a_program_and_every_fact_is_told(name):
    peer = PEERS[name]
    program = BENCHMARKS / "peers" / f"{peer['module']}.py"

    assert peer.keys() >= FACTS
    tree = ast.parse(program.read_text())
    assert ast.get_docstring(tree)
    imported = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                imported |= {alias.name.partition(".")[0] for alias in names}
            case ast.ImportFrom(module=module):
                imported.add((module or "").partition(".")[0])
    # Only its own package does the job: nothing of ours, no client used around it.
    assert not imported & {"nightmail", "openai", "httpx", "httpx2"}
    assert {peer["module"], "bespokelabs"} & imported


def test_a_peer_that_needs_another_python_is_told_so(tmp_path):
    peer = {"version": "1", "python": "9.9"}

    with pytest.raises(environments.NotInstalled, match=r"needs Python 9\.9 or newer"):
        environments.python_of("future", peer, tmp_path)


def test_an_environment_that_has_what_is_wanted_is_used_again(tmp_path):
    made = tmp_path / "peer" / "made.json"
    made.parent.mkdir()
    made.write_text('[["peer==1", "beside==2"], ["--no-deps", "files==3"]]')
    peer = {"version": "1", "beside": "beside==2", "files_of": "files==3", "python": "9.9"}

    assert environments.python_of("peer", peer, tmp_path) == tmp_path / "peer" / "bin" / "python"
    with pytest.raises(environments.NotInstalled):
        environments.python_of("peer", peer | {"version": "2"}, tmp_path)


def test_of_what_pip_says_the_errors_are_told():
    said = "Looking in a place\nERROR: No matching distribution found for peer==1\nmore"

    assert environments._errors(said) == "ERROR: No matching distribution found for peer==1"
    assert environments._errors("just an end\n") == "just an end"
