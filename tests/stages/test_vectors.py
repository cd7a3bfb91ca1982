"""Embeddings in columns: packed numbers, lists, and what a part's reader makes of them."""

from array import array

import pyarrow as pa
import pytest

from nightmail.core.run import KeyKind
from nightmail.spool import Spool
from nightmail.stages.parts import part_schema, read_part, writing
from nightmail.stages.vectors import column_of, of_size, size_of

VECTOR = pa.list_(pa.float32())


@pytest.mark.parametrize(
    "values",
    [
        [array("d", [0.5, -0.25]), array("d", []), array("d", [3.0])],
        [array("f", [0.5, -0.25]), array("f", []), array("f", [3.0])],
        [array("d", [0.5, -0.25]), array("f", []), array("d", [3.0])],
        [memoryview(array("d", [0.5, -0.25])), memoryview(array("d")), memoryview(array("d", [3.0]))],
        [[0.5, -0.25], [], [3.0]],
    ],
)
def test_vectors_are_the_same_column_however_they_are_held(values):
    column = column_of(values, VECTOR)

    assert column.type == VECTOR
    assert column.to_pylist() == [[0.5, -0.25], [], [3.0]]
    several = column_of([values, [], values[:1]], pa.list_(VECTOR))
    assert several.type == pa.list_(VECTOR)
    assert several.to_pylist() == [[[0.5, -0.25], [], [3.0]], [], [[0.5, -0.25]]]


def test_numbers_are_rounded_to_single_precision_and_not_refused():
    assert column_of([array("d", [0.1])], VECTOR).to_pylist() == pa.array([[0.1]], type=VECTOR).to_pylist()


def test_a_size_is_that_of_every_vector_or_none():
    two, three, empty = ([array("d", [1.0] * count)] for count in (2, 3, 0))
    columns = [column_of(each, VECTOR) for each in (two, two * 2, three, empty)]

    assert size_of(columns[:2]) == 2
    assert size_of(columns[1:3]) is None
    assert size_of(columns[3:]) is None
    assert size_of([]) is None
    assert size_of([pa.array([[1.0], None], type=VECTOR)]) is None
    sized = of_size(column_of([array("d", [1.0, 2.0]), array("d", [3.0, 4.0])], VECTOR).slice(1), 2)
    assert sized.type == pa.list_(pa.float32(), 2)
    assert sized.to_pylist() == [[3.0, 4.0]]


def test_a_part_holds_vectors_as_lists(tmp_path):
    spool = Spool(tmp_path)
    schema = part_schema("id", KeyKind.TEXT, pa.schema({"embedding": VECTOR}))
    outputs = [{"embedding": array("d", [0.5])}, {"embedding": array("d", [0.25, -1.0])}]

    with writing(spool, "1.arrow", schema) as part:
        part.add([1, 2], ["a", "b"], outputs, [["m"] * 2, [1] * 2, [8] * 2, [0] * 2, [0.0] * 2])

    (batch,) = read_part(spool, "1.arrow")
    assert batch["embedding"].to_pylist() == [[0.5], [0.25, -1.0]]
