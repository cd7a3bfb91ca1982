from __future__ import annotations

from pathlib import Path

import pytest

from nightmail.cli.demo_data import MODULES, read_topics, texts_of, write_dataset
from nightmail.cli.demo_task import Answer, Topics
from nightmail.errors import ConfigError
from nightmail.tasks.prepared import PreparedTask


@pytest.mark.exhaustive
def test_the_standard_library_has_thousands_of_texts_of_every_topic(tmp_path: Path) -> None:
    path = tmp_path / "demo" / "docstrings.parquet"
    number = write_dataset(path)
    topics = read_topics(path)
    assert number == len(topics) > 2_000
    assert set(topics.values()) == set(MODULES)
    assert topics["asyncio.queues.Queue.get"] == "threads, processes and asyncio"


def test_the_labels_of_the_task_are_the_topics_of_the_dataset() -> None:
    schema = PreparedTask(Topics, model=None).schema
    assert schema is not None
    assert set(schema["properties"]["topic"]["enum"]) == set(MODULES)
    assert Answer(topic="email, html and xml", why="").topic in MODULES


def test_no_module_has_two_topics() -> None:
    named = [module for modules in MODULES.values() for module in modules.split()]
    assert len(named) == len(set(named))


def test_texts_come_in_the_same_order_each_name_once(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text(
        '"""A queue for threads, as long as you like."""\n'
        "class Queue:\n"
        '    """First in, first out, and thread-safe."""\n'
        "    if True:\n"
        "        def get(self):\n"
        '            """Remove and return an item from the queue."""\n'
        "    else:\n"
        "        def get(self):\n"
        '            """The same again for another platform."""\n'
        "    def put(self):\n"
        '        """Short."""\n',
        encoding="utf-8",
    )
    (tmp_path / "broken.py").write_text("def (:\n", encoding="utf-8")
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "__init__.py").write_text('"""Read and write JSON documents."""\n', encoding="utf-8")
    (tmp_path / "json" / "test").mkdir()
    (tmp_path / "json" / "test" / "x.py").write_text(
        '"""A test, which is left out of it."""\n', encoding="utf-8"
    )
    assert [text.id for text in texts_of(tmp_path)] == ["json", "queue", "queue.Queue", "queue.Queue.get"]


def test_a_python_without_sources_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="source files"):
        list(texts_of(tmp_path))
