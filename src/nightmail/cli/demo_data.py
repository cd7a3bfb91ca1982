"""The demo's dataset: the docstrings of the standard library, which every machine with Python has.

The source files are read, not imported. A text's true topic is that of its module, by the table below;
modules that are about several things, or about none of these, are left out.
"""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nightmail.errors import ConfigError

MIN_LENGTH, MAX_LENGTH = 20, 4_000

MODULES = {
    "networking, http and sockets": (
        "ftplib http imaplib ipaddress nntplib poplib smtpd smtplib socket socketserver ssl "
        "telnetlib urllib webbrowser wsgiref xmlrpc cgi netrc"
    ),
    "text, strings and encodings": (
        "codecs difflib encodings gettext locale re shlex string stringprep textwrap pprint "
        "reprlib unicodedata"
    ),
    "files, paths and archives": (
        "bz2 compression csv filecmp fileinput fnmatch genericpath glob gzip linecache lzma "
        "ntpath pathlib posixpath shutil stat tarfile tempfile zipfile zipapp zipimport shelve "
        "dbm pickle configparser tomllib"
    ),
    "numbers, dates and collections": (
        "_collections_abc _pydecimal _pydatetime array bisect calendar collections colorsys copy "
        "dataclasses datetime decimal enum fractions functools graphlib hashlib heapq hmac "
        "itertools numbers operator random secrets statistics types typing uuid weakref zoneinfo"
    ),
    "threads, processes and asyncio": (
        "_threading_local asyncio asynchat asyncore concurrent multiprocessing queue sched "
        "selectors signal subprocess threading"
    ),
    "modules, code and tests": (
        "ast bdb code codeop compileall dis distutils doctest importlib inspect modulefinder pdb "
        "pickletools pkgutil profile pstats py_compile pyclbr pydoc pydoc_data runpy symtable "
        "tabnanny timeit token tokenize trace traceback tracemalloc unittest venv"
    ),
    "email, html and xml": (
        "base64 email html json mailbox mailcap mimetypes plistlib quopri xml _markupbase"
    ),
    "logging, os and system": (
        "_osx_support argparse atexit contextlib crypt ctypes getopt getpass logging optparse os "
        "platform pty resource site sysconfig syslog tty warnings"
    ),
    "tkinter and turtle windows": "cmd curses rlcompleter tkinter turtle",
}
_SKIPPED_FOLDERS = {"test", "tests", "__pycache__", "idle_test"}


class Text(NamedTuple):
    """A docstring and its topic. `id` is the full name of what it documents."""

    id: str
    docstring: str
    topic: str


def write_dataset(path: Path) -> int:
    """Write the dataset as Parquet, the same on every call with the same Python; how many texts it has."""
    import pyarrow as pa
    from pyarrow import parquet

    texts = list(texts_of(Path(sysconfig.get_paths()["stdlib"])))
    table = pa.Table.from_pylist([text._asdict() for text in texts])
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    parquet.write_table(table, unfinished)
    unfinished.replace(path)
    return len(texts)


def read_topics(path: Path) -> dict[str, str]:
    """The true topic of each text, by id."""
    from pyarrow import parquet

    table = parquet.read_table(path, columns=["id", "topic"])
    return dict(zip(table["id"].to_pylist(), table["topic"].to_pylist(), strict=True))


def texts_of(library: Path) -> Iterator[Text]:
    """Every docstring under `library`, by the files' names. Raises `ConfigError` if there are none."""
    topics = {module: topic for topic, modules in MODULES.items() for module in modules.split()}
    found = False
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).with_suffix("").parts
        topic = topics.get(parts[0])
        if topic is None or _SKIPPED_FOLDERS.intersection(parts):
            continue
        module = ".".join(part for part in parts if part != "__init__")
        for text in _texts_in(path, module, topic):
            found = True
            yield text
    if not found:
        raise ConfigError(
            f"the demo reads the standard library's source files, and there are none in {library}; "
            "use a Python that was installed with them"
        )


def _texts_in(path: Path, module: str, topic: str) -> Iterator[Text]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        # A few files of the library are broken on purpose, for its own tests.
        return
    seen: set[str] = set()
    waiting: list[tuple[str, ast.AST]] = [(module, tree)]
    while waiting:
        name, node = waiting.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            # The second definition of a name (a setter, a platform's own) is the same thing again.
            if docstring and MIN_LENGTH <= len(docstring) <= MAX_LENGTH and name not in seen:
                seen.add(name)
                yield Text(name, docstring, topic)
        for child in reversed(list(ast.iter_child_nodes(node))):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                waiting.append((f"{name}.{child.name}", child))
            elif isinstance(child, ast.If | ast.Try | ast.ExceptHandler):
                waiting.append((name, child))
