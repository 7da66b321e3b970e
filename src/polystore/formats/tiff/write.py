"""An array laid out in a TIFF by tifffile, its pixels uncopied where they can be."""

from __future__ import annotations

import io
import math
import struct
import sys
from importlib import import_module
from typing import IO, TYPE_CHECKING, Literal, TypeAlias, cast

from attrs import field, frozen

from polystore.configs import TiffOptions
from polystore.core.payload import HostArray, Json, bytes_of
from polystore.core.records import Encoded
from polystore.formats.stream import Recorder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import numpy as np

__all__ = ["COMPRESSIONS", "Description", "Layout", "is_big", "pages_of", "samples_of", "written"]

Resolution: TypeAlias = "tuple[tuple[int, int], tuple[int, int]]"
"""Pixels per unit along x and y, each as numerator and denominator."""

_CLASSIC_MAX = 2**32 - 2**25
"""Bytes. Beyond it tifffile writes a BigTIFF, whose offsets have 64 bits."""

_SMALL = 2**16
"""Bytes of an array that are copied into the file in memory: it costs less than not to."""

_PAGE_BYTES = 2**9  # more than a page's directory takes, so that many small pages count, too

COMPRESSIONS = {"deflate": 8, "lzw": 5, "packbits": 32773, "zstd": 50000}
"""By name: the code of the tag."""

_BYTE_ORDERS: dict[str, Literal["<", ">"]] = {"<": "<", ">": ">"}  # and native for the others

# ImageJ's metadata: the tags of its lengths and of itself, and the words that its header begins
# with, in the byte order of the file.
_COUNTS, _METADATA = 50838, 50839
_MAGIC = ((b"JIJI", b"lbal"), (b"IJIJ", b"labl"))

_Tag: TypeAlias = "tuple[int, int, int, object, bool]"

_SAMPLES_MAX = 2**16 - 1  # of one pixel: SamplesPerPixel is a SHORT


@frozen
class Layout:
    """How an array lies in pages: each has rows, columns, and `samples` that are a last axis.

    `shape` is what tifffile is told; `samples` is 0 where it has no such axis.
    """

    shape: tuple[int, ...]
    samples: int

    @property
    def pages(self) -> int:
        """The number of pages."""
        return math.prod(self.shape[: -3 if self.samples else -2])


@frozen
class Description:
    """What stands in a TIFF beside its pixels.

    `text` is the description as it is, or `None` for the JSON with which tifffile tells a shape,
    and `extra` what this JSON holds besides; `labels` are ImageJ's, one a plane. `only_first`
    leaves out the directories of all pages but the first, as ImageJ does beyond 4 GiB.
    """

    text: bytes | None = None
    extra: Mapping[str, Json] = field(factory=dict[str, "Json"])
    resolution: Resolution | None = None
    resolution_unit: int | None = None
    labels: Sequence[str] = ()
    only_first: bool = False


def samples_of(array: HostArray, axes: Sequence[str]) -> int:
    """Give how many samples a pixel has, where the last axis is theirs; 0 for a stack of planes.

    A last axis of 3 or 4, or one that is named `c`, is the samples of a pixel.
    """
    if array.ndim < 3 or array.dtype.char == "?":
        return 0
    last = array.shape[-1]
    is_samples = axes[-1] == "c" if axes else last in (3, 4)
    return last if is_samples and 1 < last <= _SAMPLES_MAX else 0


def pages_of(shape: tuple[int, ...], letters: str) -> Layout:
    """Give the layout of an array whose axes are these letters, samples `s`.

    >>> pages_of((9, 4, 5, 1), "zyxc")
    Layout(shape=(9, 4, 5), samples=0)
    """
    if letters.endswith("s"):
        return Layout(shape, shape[-1])
    return Layout(shape[: letters.index("x") + 1], 0)  # what follows is of length 1


def is_big(array: HostArray, layout: Layout) -> bool:
    """Whether a file of the array outgrows the 32 bits of a classic TIFF."""
    return array.nbytes + _PAGE_BYTES * layout.pages > _CLASSIC_MAX


def written(
    array: HostArray, layout: Layout, described: Description, options: TiffOptions
) -> Encoded:
    """Write with tifffile; samples that it would not change stay in the array's own memory.

    What tifffile would guess, and warn that it will cease to, is said here: RGB are 3 or 4 samples
    of 8 and 16 bits unsigned, as viewers expect. Raises what tifffile raises.
    """
    import numpy as np
    from tifffile import TiffWriter

    array = np.asarray(array, order="C").reshape(layout.shape)
    as_is = options.compression == "none" and array.dtype.char != "?"
    if options.compression != "none":
        import_module("imagecodecs")  # or else tifffile would fall back on less
    file = io.BytesIO() if array.nbytes <= _SMALL else Recorder()
    with TiffWriter(
        cast("IO[bytes]", file),
        bigtiff=is_big(array, layout) and not described.only_first,
        byteorder=_BYTE_ORDERS.get(array.dtype.byteorder),
    ) as writer:
        place = writer.write(
            None if as_is else array,  # a hole as large as the array, or the array
            shape=array.shape,
            dtype=array.dtype,
            photometric=_photometric(array, layout),
            planarconfig="contig" if layout.samples else None,
            compression=COMPRESSIONS.get(options.compression),
            compressionargs={} if options.level is None else {"level": options.level},
            description=described.text,
            metadata=dict(described.extra) if described.text is None else None,
            resolution=described.resolution,
            resolutionunit=described.resolution_unit,
            extratags=_label_tags(described.labels, array.dtype),
            truncate=described.only_first,
            returnoffset=True,
        )
    hole, memory = (place[0], bytes_of(array)) if as_is and place is not None else (0, None)
    if isinstance(file, Recorder):
        return Encoded(tuple(file.buffers(hole, memory)), file.size)
    content = file.getbuffer()
    if memory is not None:
        content[hole : hole + memory.nbytes] = memory
    return Encoded((content,), content.nbytes)


def _photometric(array: HostArray, layout: Layout) -> Literal["minisblack", "rgb"] | None:
    if array.ndim < 3 or array.dtype.char == "?":
        return None  # there is nothing to guess
    return "rgb" if layout.samples in (3, 4) and array.dtype.char in "BH" else "minisblack"


def _label_tags(labels: Sequence[str], dtype: np.dtype[Any]) -> list[_Tag]:
    """Give ImageJ's metadata, of labels alone: a header, and how long each part is."""
    if not labels:
        return []
    big = dtype.byteorder == ">" or (dtype.byteorder != "<" and sys.byteorder == "big")
    texts = [label.encode("utf-16-be" if big else "utf-16-le") for label in labels]
    header = struct.pack(f"{'>' if big else '<'}4s4sI", *_MAGIC[big], len(texts))
    content = b"".join((header, *texts))
    counts = (len(header), *map(len, texts))
    return [
        (_COUNTS, 4, len(counts), counts, True),
        (_METADATA, 1, len(content), content, True),
    ]
