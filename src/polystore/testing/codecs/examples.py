"""What the laws of formats try: payloads of every kind, with metadata and options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from attrs import evolve, frozen
from hypothesis import strategies as st

from polystore.core.item import Item, Metadata
from polystore.core.records import Codec, Encoded
from polystore.core.rois import (
    Ellipse,
    Line,
    Points,
    Polygon,
    Polyline,
    Position,
    Rectangle,
    Roi,
    Rois,
    Shape,
)
from polystore.testing.arrays import ArrayExample, array_examples, large_arrays
from polystore.testing.codecs.options import options_of
from polystore.testing.dtypes import PLAIN_DTYPES
from polystore.testing.samples import ArraysExample, Content, Sample, TableExample

if TYPE_CHECKING:
    from polystore.core.payload import Json, Payload

__all__ = [
    "SIMPLE",
    "CodecExample",
    "array_items",
    "bytes_of_item",
    "documents",
    "items",
    "large_items",
    "mappings",
    "other_content",
    "region_lists",
    "tables",
    "texts",
]


@frozen
class CodecExample:
    """An item for a codec: the content of its payload, its metadata, and how it is encoded.

    `options` and `suffix` count among those that the codec has, and begin anew after the last.

    >>> from polystore.formats.npy import NPY_CODEC
    >>> example = CodecExample(ArrayExample("<u2", (3,)))
    >>> example.item(NPY_CODEC).key, example.how(NPY_CODEC)
    ('x.npy', None)
    """

    content: Content | Rois
    metadata: Metadata = Metadata()
    options: int = 0
    suffix: int = 0

    def item(self, codec: Codec[object]) -> Item[Payload]:
        """Give the item: a new one at each call, that shares nothing with the last."""
        suffixes = codec.format.suffixes
        suffix = suffixes[self.suffix % len(suffixes)]
        return Item(f"x{suffix}", _payload(self.content), self.metadata)

    def how(self, codec: Codec[object]) -> object:
        """Give the options."""
        every = options_of(codec)
        return every[self.options % len(every)]


def _payload(content: Content | Rois) -> Payload:
    return content if isinstance(content, Rois) else Sample("", content).payload()


def other_content(content: Content | Rois) -> Content | Rois:
    """Give content of the same shape and of other values.

    >>> other_content(ArrayExample("<u2", (3,), 1)), other_content("ab")
    (ArrayExample(dtype='<u2', shape=(3,), seed=2, layout='c'), 'ba')
    """
    match content:
        case ArrayExample():
            return _reseeded(content)
        case ArraysExample():
            return ArraysExample(tuple((name, _reseeded(it)) for name, it in content.arrays))
        case TableExample():
            return TableExample(tuple((name, _reseeded(it)) for name, it in content.columns))
        case Rois():
            return Rois(Roi(it.name, it.shape, Position(c=2)) for it in content.regions)
        case str():
            return content[::-1]
        case _:
            return [content]


def _reseeded(example: ArrayExample) -> ArrayExample:
    return evolve(example, seed=example.seed + 1)


def bytes_of_item(encoded: Encoded) -> bytes:
    """Give an encoded payload as one piece."""
    return b"".join(bytes(memoryview(buffer)) for buffer in encoded.buffers)


ItemExamples: TypeAlias = st.SearchStrategy[CodecExample]

_SEEDS = st.integers(0, 9)


def _as_items(contents: st.SearchStrategy[Any]) -> ItemExamples:
    return st.builds(CodecExample, contents, options=_SEEDS, suffix=_SEEDS)


_SIDES = st.integers(1, 20)

_PICTURES = array_examples(
    st.sampled_from([np.dtype(it) for it in ("u1", "u2", "f4", ">u2", "?")]),
    st.one_of(
        st.tuples(_SIDES, _SIDES),
        st.tuples(_SIDES, _SIDES, st.integers(1, 4)),
        st.tuples(st.integers(1, 3), st.integers(1, 3), _SIDES, _SIDES),
    ),
)
"""What most image formats hold: small integers or floats, in two to four axes."""

_HELD = array_examples(
    st.sampled_from([np.dtype(it) for it in ("f4", "u1", "u2")]),
    st.sampled_from(((16, 16), (3, 6, 7), (32, 16))),
)
"""What formats of tiles or of volumes hold, of which few others are."""


def array_items() -> ItemExamples:
    """Give arrays: of any dtype, shape and layout, and most of them pictures."""
    return _as_items(_PICTURES | _HELD | array_examples())


def large_items() -> ItemExamples:
    """Give arrays of more elements, rows or bytes than 16 bits can count."""
    return _as_items(large_arrays())


_NAMES = st.sampled_from(("a", "b/c", "image", "größe", "arr_0", ".", "")) | st.text(max_size=4)


_ARRAYS = st.lists(st.tuples(_NAMES, array_examples()), max_size=3, unique_by=lambda it: it[0])


def mappings() -> ItemExamples:
    """Give arrays by their names, none and odd names too."""
    return _as_items(_ARRAYS.map(lambda it: ArraysExample(tuple(it))))


def _columns(length: int) -> st.SearchStrategy[TableExample]:
    column = array_examples(st.sampled_from(PLAIN_DTYPES), st.just((length,)))
    columns = st.lists(st.tuples(_NAMES, column), max_size=3, unique_by=lambda it: it[0])
    return columns.map(lambda it: TableExample(tuple(it)))


def tables() -> ItemExamples:
    """Give tables, of no rows and no columns too."""
    return _as_items(st.one_of(*map(_columns, (0, 1, 2, 5))))


def texts() -> ItemExamples:
    """Give any text, such as no UTF-8 can say too."""
    odd = ("", "\r\n", "a\rb", "\ufeffa", "\0", "\ud800", "\U0001f9eb", "a\u2028b", "[1]")
    return _as_items(st.sampled_from(odd) | st.text(max_size=20))


def documents() -> ItemExamples:
    """Give JSON, with numbers of any size, and text that looks like something else."""
    # What is printed of a NaN and an infinity is no code.
    finite = st.floats(allow_nan=False, allow_infinity=False)
    numbers = st.integers() | finite | st.sampled_from((-0.0, 2**64, 5e-324))
    leaves: st.SearchStrategy[Json] = st.one_of(st.none(), st.booleans(), numbers, st.text())

    def within(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
        return st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)

    return _as_items(st.recursive(leaves, within, max_leaves=6))


def _shapes() -> st.SearchStrategy[Shape]:
    number = st.integers(-9, 99).map(float) | st.integers(-99, 99).map(lambda it: it / 8)
    length = st.integers(1, 99).map(float) | st.integers(1, 99).map(lambda it: it / 8)
    point = st.tuples(number, number)
    points = st.lists(point, min_size=2, max_size=5, unique=True)
    box = (number, number, length, length)
    return st.one_of(
        st.builds(Polygon, points),
        st.builds(Polyline, points),
        st.builds(Points, points),
        st.builds(Rectangle, *box),
        st.builds(Ellipse, *box),
        st.builds(Line, point, point),
    )


def region_lists() -> ItemExamples:
    """Give regions of interest, with places in a stack; none at all too."""
    place = st.none() | st.integers(0, 9)
    positions = st.builds(Position, place, place, place) | st.builds(Position, stack=place)
    names = st.sampled_from(("cell", "", "größe", "a/b")) | st.text(max_size=4)
    region = st.builds(Roi, names, _shapes(), positions)
    return _as_items(st.lists(region, max_size=3).map(Rois))


_KNOWN = Metadata(axes=("c", "y", "x"), scale=(1.0, 0.5, 0.5))
_POLYGON = Polygon(((1, 2), (1, 9), (7, 5.5)))
_FRACTIONS = ArrayExample("<f4", (3, 4), 1)

SIMPLE: tuple[CodecExample, ...] = (
    CodecExample(ArrayExample("u1", (5, 4), 1)),
    CodecExample(ArrayExample("u1", (5, 4, 3), 1)),
    CodecExample(ArrayExample("<u2", (2, 6, 7), 1), _KNOWN),
    CodecExample(_FRACTIONS),
    CodecExample(ArrayExample("<f4", (3, 6, 7), 1)),
    *(CodecExample(ArrayExample(dtype, (16, 16), 1)) for dtype in ("u1", "<u2", "<f4")),
    CodecExample(ArrayExample("<i8", (3,), 1)),
    CodecExample(ArrayExample("<f4", (), 1)),
    CodecExample(ArrayExample((("x", "<f4"), ("name", "S3")), (3,), 1)),
    CodecExample(ArraysExample((("a", ArrayExample("u1", (5, 4), 1)), ("b", _FRACTIONS)))),
    CodecExample(
        TableExample((("n", ArrayExample("u1", (4,), 1)), ("t", ArrayExample("U3", (4,), 1))))
    ),
    CodecExample(TableExample((("n", ArrayExample("<i4", (4,), 1)),))),
    CodecExample({"wells": [1, 2.5, None, True], "rows": {"A": "größe"}}),
    CodecExample("two lines\nof text\n"),
    CodecExample(Rois((Roi("cell", _POLYGON, Position(c=1)),))),
    CodecExample(Rois((Roi("a", Line((1, 2), (3, 4))), Roi("b", Rectangle(1, 2, 3, 4))))),
)
"""One item or more of each kind, of which every format should hold one."""


def _known(ndim: int) -> st.SearchStrategy[Metadata]:
    """Give metadata of an array of so many axes: each field may be empty."""
    axes = ("t", "c", "z", "y", "x")[5 - ndim :] if ndim != 3 else ("c", "y", "x")
    empty: st.SearchStrategy[tuple[Any, ...]] = st.just(())
    attributes = st.dictionaries(
        st.sampled_from(("well", "größe")), st.sampled_from((1, 2.5, "A01", [1, None])), max_size=2
    )
    return st.builds(
        Metadata,
        axes=st.just(axes) | empty,
        scale=st.just((0.5,) * ndim) | empty,
        unit=st.just(("micrometer",) * ndim) | empty,
        channel_names=st.just(("DAPI", "GFP")) | empty,
        attributes=attributes,
    )


def _with_metadata(simple: CodecExample) -> ItemExamples:
    content = simple.content
    ndim = len(content.shape) if isinstance(content, ArrayExample) else 2
    metadata = st.just(Metadata()) | _known(ndim)
    return st.builds(CodecExample, st.just(content), metadata, _SEEDS, _SEEDS)


def items() -> ItemExamples:
    """Give one of `SIMPLE`, with metadata that fits it."""
    return st.one_of(*map(_with_metadata, SIMPLE))
