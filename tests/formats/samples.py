"""Small valid files of every format, to be damaged."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from bytes_source import joined

from polystore import (
    Codec,
    Ellipse,
    Item,
    JpegOptions,
    Line,
    Metadata,
    NpzOptions,
    Payload,
    Points,
    Polygon,
    Polyline,
    Position,
    Rectangle,
    Roi,
    Rois,
    Table,
    TiffOptions,
    default_registry,
)
from polystore.builtin import BUILTIN
from polystore.core.outcome import is_successful

__all__ = ["FORMAT_NAMES", "codec_named", "samples"]

FORMAT_NAMES = tuple(entry.name for entry in BUILTIN.formats if entry.name != "cupy")
"""The built-in formats, but for `.cupy`: its bytes are those of `.jax`, and it wants a GPU."""

GRAY = (np.arange(24 * 20, dtype=np.uint8) * 7 % 251).reshape(24, 20)
COLORS = np.stack([GRAY, GRAY[::-1], 255 - GRAY], axis=-1)
STACK = np.arange(3 * 2 * 8 * 9, dtype=np.uint16).reshape(3, 2, 8, 9)
FLOATS = np.linspace(-1, 1, 60, dtype=np.float32).reshape(3, 4, 5)
KNOWN = Metadata(
    axes=("z", "c", "y", "x"),
    scale=(2.0, 1.0, 0.65, 0.65),
    unit=("micrometer", "", "micrometer", "micrometer"),
    channel_names=("DAPI", "GFP"),
    attributes={"well": "A01"},
)
CURVE = tuple((10 + round(8 * math.sin(i)) / 4, 10 + round(8 * math.cos(i)) / 4) for i in range(9))

ITEMS: tuple[Item[Payload], ...] = (
    Item("x", GRAY),
    Item("x", COLORS),
    Item("x", STACK, KNOWN),
    Item("x", FLOATS),
    Item("x", np.array([2**40, -5])),
    Item("x", np.zeros(3, [("x", "<f4"), ("name", "S3")])),
    Item("x", {"a": GRAY, "b/c": FLOATS, "empty": np.zeros((0, 3))}),
    Item("x", Table({"n": np.arange(9, dtype=np.uint8), "t": np.array(["a", "b,c", '"'] * 3)})),
    Item("x", {"wells": [1, 2.5, None, True], "rows": {"A": "β"}}),
    Item("x", "two lines\nof text, ünd\n"),
    Item("x.roi", Rois((Roi("one", Polygon(CURVE), Position(c=1)),))),
    Item(
        "x.roi.zip",
        Rois(
            (
                Roi("line", Line((1.0, 2.0), (3.5, 4.5))),
                Roi("box", Rectangle(1.0, 2.0, 3.0, 4.0), Position(z=3, t=1)),
                Roi("oval", Ellipse(1.0, 2.0, 3.0, 4.0)),
                Roi("path", Polyline(CURVE)),
                Roi("dots", Points(((1.0, 2.0), (3.0, 4.0)))),
            )
        ),
    ),
)

OPTIONS: tuple[object, ...] = (
    None,
    JpegOptions(quality=80),
    NpzOptions(compression="deflate"),
    TiffOptions(compression="deflate"),
    TiffOptions(compression="lzw"),
    TiffOptions(compression="packbits"),
    TiffOptions(compression="zstd"),
)


def codec_named(name: str) -> Codec[object]:
    """Give a built-in codec."""
    (format,) = (entry.key for entry in BUILTIN.formats if entry.name == name)
    return default_registry().find_codec(format).unwrap()


def samples(name: str) -> Iterator[bytes]:
    """Give the files that a format makes of what it takes of these items."""
    codec = codec_named(name)
    for options in OPTIONS:
        if options is None or isinstance(options, codec.options or ()):
            for item in ITEMS:
                encoded = codec.encode(item, options)
                if is_successful(encoded):
                    yield joined(encoded.unwrap())
