"""Items to try a store on: a payload of any kind, under a key whose suffix names its format."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen
from hypothesis import strategies as st

from polystore.core.item import Metadata
from polystore.core.table import Table
from polystore.testing.arrays import ArrayExample, array_examples
from polystore.testing.dtypes import PLAIN_DTYPES

if TYPE_CHECKING:
    from polystore.core.payload import Json, Payload

__all__ = ["ArraysExample", "Sample", "TableExample", "metadatas", "payloads", "texts"]


@frozen
class ArraysExample:
    """Arrays by their names: what a `.npz` holds."""

    arrays: tuple[tuple[str, ArrayExample], ...]


@frozen
class TableExample:
    """A table of these columns; its arrays have one axis, and one length."""

    columns: tuple[tuple[str, ArrayExample], ...]


Content: TypeAlias = "ArrayExample | ArraysExample | TableExample | Json"
"""What makes a payload. JSON and text are their own words."""


@frozen
class Sample:
    """A payload, and the suffix of a key for it.

    >>> Sample(".npy", ArrayExample("<u2", (3,))).payload().dtype
    dtype('uint16')
    >>> Sample(".json", {"wells": 96}).payload()
    {'wells': 96}
    """

    suffix: str
    content: Content

    def payload(self) -> Payload:
        """Give the payload: a new one at each call, that shares nothing with the last."""
        return _made(self.content)


def _made(content: Content) -> Payload:
    match content:
        case ArrayExample():
            return content.array()
        case ArraysExample(arrays=arrays):
            return {name: example.array() for name, example in arrays}
        case TableExample(columns=columns):
            return Table({name: example.array() for name, example in columns})
        case _:
            return _json_copied(content)


def _json_copied(value: Json) -> Json:
    from copy import deepcopy

    return deepcopy(value)


def texts() -> st.SearchStrategy[str]:
    """Give any text that Unicode can write: newlines of every kind, NUL, no lone surrogates."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def _numbers() -> st.SearchStrategy[Json]:
    whole = st.integers(-(2**63), 2**64 - 1)
    real = st.floats(allow_nan=False, allow_infinity=False)
    return st.one_of(st.none(), st.booleans(), whole, real)


def _json() -> st.SearchStrategy[Json]:
    leaves: st.SearchStrategy[Json] = _numbers() | texts()

    def within(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
        return st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3)

    return st.recursive(leaves, within, max_leaves=5)


_NAMES = st.sampled_from(("image", "mask", "a b", "größe", "arr_0"))


@st.composite
def _columns(draw: st.DrawFn) -> TableExample:
    length = draw(st.sampled_from((0, 1, 3)))
    names = draw(st.lists(_NAMES, unique=True, min_size=1, max_size=3))
    column = array_examples(st.sampled_from(PLAIN_DTYPES), st.just((length,)), st.just("c"))
    return TableExample(tuple((name, draw(column)) for name in names))


@st.composite
def _mappings(draw: st.DrawFn) -> ArraysExample:
    names = draw(st.lists(_NAMES, unique=True, max_size=3))
    return ArraysExample(tuple((name, draw(array_examples())) for name in names))


def payloads() -> st.SearchStrategy[Sample]:
    """Give payloads of every kind: arrays mostly; arrays by names, JSON, text and tables.

    >>> from hypothesis import find
    >>> find(payloads(), lambda sample: sample.suffix == ".txt")
    Sample(suffix='.txt', content='')
    """
    arrays = array_examples().map(lambda example: Sample(".npy", example))
    return st.one_of(
        arrays,
        arrays,
        _json().map(lambda value: Sample(".json", value)),
        texts().map(lambda text: Sample(".txt", text)),
        _mappings().map(lambda example: Sample(".npz", example)),
        _columns().map(lambda example: Sample(".csv", example)),
    )


def metadatas() -> st.SearchStrategy[Metadata]:
    """Give metadata of an array of two axes: any of its fields may be empty.

    >>> from hypothesis import find
    >>> find(metadatas(), lambda metadata: metadata.scale).present()
    ('axes', 'scale')
    """
    lengths = st.sampled_from((1.0, 0.325, 2.0))
    scales: st.SearchStrategy[tuple[float, ...]] = st.just(()) | st.tuples(lengths, lengths)
    units: st.SearchStrategy[tuple[str, ...]] = st.sampled_from(
        ((), ("micrometer", "micrometer"), ("nanometer", "micrometer"))
    )
    names = st.sampled_from(("well", "exposure", "größe"))
    attributes = st.dictionaries(names, _json(), max_size=2)
    return st.builds(
        Metadata,
        axes=st.just(("y", "x")),
        scale=scales,
        unit=units,
        attributes=attributes,
    ) | st.just(Metadata())
