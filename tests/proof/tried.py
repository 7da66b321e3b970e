"""What is tried for the page of `docs/support.md`: dtypes, shapes, metadata, payloads, and how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from everything import FRAMEWORKS, HostArray, Kind, as_host, bits, passed_through

from polystore import (
    Array,
    Item,
    JpegOptions,
    Metadata,
    Outcome,
    Payload,
    Points,
    Roi,
    Rois,
    Store,
    Table,
    is_successful,
    load,
    save,
)
from polystore.steps.convert import Convert
from polystore.testing.arrays import ML_DTYPES, filled

__all__ = [
    "DTYPES",
    "KNOWN",
    "NAMES",
    "PAYLOADS",
    "SHAPES",
    "Tried",
    "held",
    "kept",
    "sample",
    "table",
    "taken",
    "through",
]

Tried: TypeAlias = Store[Payload, Payload]

NAMES = [name for name in FRAMEWORKS if name != "cupy"]

DTYPES: dict[str, np.dtype[Any]] = {
    **{
        name: np.dtype(name)
        for name in (
            *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
            *("float16", "float32", "float64", "longdouble"),
            *("complex64", "complex128", "clongdouble"),
        )
    },
    "big-endian": np.dtype(">f4"),
    **{dtype.name: dtype for dtype in ML_DTYPES},
    "bytes": np.dtype("S3"),
    "str": np.dtype("U3"),
    "datetime64": np.dtype("M8[ns]"),
    "timedelta64": np.dtype("m8[s]"),
    "datetime64, no unit": np.dtype("M8"),
    "timedelta64, no unit": np.dtype("m8"),
    "records": np.dtype([("x", "<f4"), ("n", "u1")]),
    "objects": np.dtype(object),
}

SHAPES: dict[str, tuple[int, ...]] = {
    "one element, no axis": (),
    "empty": (0, 3),
    "one axis": (5,),
    "gray image": (4, 5),
    "RGB image": (4, 5, 3),
    "RGBA image": (4, 5, 4),
    "stack": (7, 4, 5),
    "five axes": (2, 1, 3, 4, 5),
}

KNOWN = Metadata(
    axes=("c", "y", "x"),
    scale=(1.0, 0.65, 0.65),
    unit=("", "micrometer", "micrometer"),
    channel_names=("DAPI", "GFP"),
    attributes={"well": "A01"},
)

PAYLOADS: dict[str, Payload] = {
    "an array": np.zeros((4, 5), np.uint8),
    "arrays by names": {"a": np.zeros(3, np.uint8), "b": np.zeros((4, 5), np.uint8)},
    "a table": Table({"cell": np.arange(3), "area": np.array([1.5, 2.5, 3.5])}),
    "JSON": {"wells": 96, "rows": ["A", "B"]},
    "text": "one line\n",
    "regions": Rois((Roi("nucleus", Points(((1.0, 2.0),))),)),
}

WORDS = {"UnsupportedPayload": "-", "Lossy": "lossy"}


def in_a_word(outcome: Outcome[HostArray], array: HostArray) -> str:
    if is_successful(outcome):
        assert bits(outcome.unwrap()) == bits(array), f"{array.dtype} has changed"
        return "yes"
    return WORDS[type(outcome.failure()).__name__]


def all_agree(words: dict[str, str]) -> str:
    """Give the word of all frameworks; where they differ, who says yes."""
    said = set(words.values())
    if len(said) == 1:
        return said.pop()
    return "from " + ", ".join(name for name, word in words.items() if word == "yes")


def sample(dtype: np.dtype[Any], shape: tuple[int, ...] = (4, 5)) -> HostArray:
    array: HostArray = filled(7, dtype, shape)
    return array


def through(array: HostArray, kind: Kind, store: Tried) -> str:
    holders = [name for name in NAMES if held(array, name) == "yes"]
    words = {name: in_a_word(passed_through(array, name, kind, store), array) for name in holders}
    return all_agree(words)


def held(array: HostArray, name: str) -> str:
    """Say whether a framework holds an array."""
    import jax

    with jax.enable_x64(True):
        there = Convert[Array](name)(Item("a", array))
        return in_a_word(there.map(lambda item: as_host(item.payload)), array)


def kept(kind: Kind, store: Tried, field: str) -> str:
    """Say whether a field of the metadata comes back; what is lost must have been named."""
    stacks = (((2, 4, 5), KNOWN), ((4, 5), plane()))
    for shape, metadata in stacks:
        item = Item(f"m{kind.suffix}", kind.payload(np.zeros(shape, np.uint8)), metadata)
        # Of the formats, one wants to be told that it may change values.
        options = JpegOptions(quality=95) if kind.name == "jpeg" else None
        saved = save(store, if_exists="replace", options=options)(item)
        if is_successful(saved):
            got = load(store)(item.key).unwrap().metadata
            lost = field in saved.unwrap().dropped
            same = getattr(got, field) == getattr(metadata, field)
            assert lost != same, f"{kind} says of {field}: dropped is {lost}, and kept is {same}"
            return "yes" if same else "-"
    return "-"


def plane() -> Metadata:
    """Give the metadata of one plane: what has no channels keeps no names of them."""
    return Metadata(
        axes=KNOWN.axes[1:],
        scale=KNOWN.scale[1:],
        unit=KNOWN.unit[1:],
        channel_names=KNOWN.channel_names[:1],
        attributes=KNOWN.attributes,
    )


def taken(kind: Kind, store: Tried, payload: Payload) -> str:
    saved = save(store, if_exists="replace")(Item(f"p{kind.suffix}", payload))
    return "yes" if is_successful(saved) else WORDS[type(saved.failure()).__name__]


def table(corner: str, columns: Iterable[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    head = [corner, *columns]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += [f"| {name} | {' | '.join(words)} |" for name, words in rows]
    return "\n".join(lines)
