"""Which strips and tiles of a TIFF can be decoded here, and whether a file holds all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from polystore.formats.tiff.streams import JPEG, JPEG_2000

if TYPE_CHECKING:
    from tifffile import TiffFrame, TiffPage

    Page: TypeAlias = TiffPage | TiffFrame

__all__ = ["DEFLATE", "NONE", "STREAMS", "segment_problem", "unreadable"]

NONE, _LZW, _PACKBITS, _LZMA = 1, 5, 32773, 34925
DEFLATE = frozenset({8, 32946})
_ZSTD = frozenset({34926, 50000})
_FAX = frozenset({2, 3, 4})
STREAMS = DEFLATE | _ZSTD | {_LZW, _PACKBITS, _LZMA}
_DECODED = STREAMS | _FAX | JPEG | JPEG_2000 | {NONE}


def unreadable(key: TiffPage) -> str | None:
    """Say why pages like this one are not decoded here; `None` if they are.

    A codec whose stream carries an image size of its own would allocate what it claims: only those
    are decoded whose size can be read beforehand.
    """
    if key.dtype is None:
        bits, kind = key.bitspersample, int(key.sampleformat)
        return f"its samples, of {bits} bits in TIFF's format {kind}, are of no type known here"
    if key.compression not in _DECODED:
        name = getattr(key.compression, "name", "unknown")
        return f"its compression, {int(key.compression)} ({name}), is none that is decoded here"
    return None


def segment_problem(page: Page, key: TiffPage, size: int) -> str | None:
    """Say which strip or tile of a page is not in a file of this size; `None` if all are."""
    if key.is_final:
        offsets: Sequence[int] = page.dataoffsets[:1]
        counts: Sequence[int] = [key.nbytes]
        number = 1
    else:
        offsets, counts = page.dataoffsets, page.databytecounts
        number = math.prod(key.chunked)
    if min(len(offsets), len(counts)) < number:
        return (
            f"{number - min(len(offsets), len(counts))} of its {number} strips or tiles are missing"
        )
    for offset, count in zip(offsets[:number], counts[:number], strict=True):
        if offset <= 0 or count <= 0:
            return "a strip or tile is missing"
        if offset + count > size:
            return f"{offset + count - size} bytes of a strip or tile are missing at its end"
    return None
