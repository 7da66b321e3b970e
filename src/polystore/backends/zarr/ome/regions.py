"""Writing a region of an image: of its full resolution, and of all smaller ones that show it."""

from __future__ import annotations

import sys
from itertools import pairwise

from polystore.backends.zarr.elements.grid import inside, overlap
from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.elements.reading import read_elements
from polystore.backends.zarr.elements.writing import rewrite
from polystore.backends.zarr.ome.loading import StoredImage, level_meta
from polystore.backends.zarr.ome.pyramid import Downsampling, factors, halved, halved_shape
from polystore.backends.zarr.tree import Files
from polystore.core.errors import StorageError, UnsupportedOperation
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import HostArray
from polystore.core.region import Box, region_of, whole

__all__ = ["rewrite_region"]


def rewrite_region(
    files: tuple[Files, Files], image: StoredImage, box: Box, array: HostArray, how: Downsampling
) -> Outcome[None]:
    """Write an array into a box of an image, of the old files and into the new.

    The box and the array are in the order of the stored axes. The levels of another's image are
    halved as ours are, and may leave out what is odd. `UnsupportedOperation` where they are no
    halves of one another: there, nobody knows what they would show. Raises `OSError`.
    """
    old, new = files
    metas: list[ArrayMeta] = []
    for level in image.image.levels:
        found = level_meta(old, image.image, level).outcome
        if not is_successful(found):
            return Failure(found.failure())
        metas.append(found.unwrap())
    if not all(_is_half(a, b) for a, b in pairwise(metas)):
        return Failure(_unlike())
    for number, (level, meta) in enumerate(zip(image.image.levels, metas, strict=True)):
        below = f"{level.path}/"
        done = rewrite(old, new, meta, box, array.astype(meta.dtype, copy=False), below)
        if not is_successful(done) or number == len(metas) - 1:
            return done
        smaller, shown = _halved_box(box, meta.grid.shape)
        stored = read_elements(old, meta, shown, sys.maxsize, below).outcome
        if not is_successful(stored):
            return Failure(stored.failure())
        pixels = stored.unwrap()
        pixels[region_of(inside(box, [part.start for part in shown]))] = array
        kept = overlap(smaller, whole(metas[number + 1].grid.shape))
        box, array = kept, halved(pixels, how)[tuple(slice(len(part)) for part in kept)]
    return Success(None)


def _is_half(meta: ArrayMeta, smaller: ArrayMeta) -> bool:
    """Whether one level is half of another: rounded up, as ours are, or down."""
    up = zip(meta.grid.shape, halved_shape(meta.grid.shape), smaller.grid.shape, strict=True)
    return _native(meta) == _native(smaller) and all(
        small == half or (half != length and small == length // 2) for length, half, small in up
    )


def _native(meta: ArrayMeta) -> str:
    return meta.dtype.newbyteorder("=").str


def _halved_box(box: Box, shape: tuple[int, ...]) -> tuple[Box, Box]:
    """Give the box of the next level that shows a box, and all that it shows of this one."""
    smaller, shown = list[range](), list[range]()
    for part, by, length in zip(box, factors(shape), shape, strict=True):
        small = range(part.start // by, -(-part.stop // by))
        smaller.append(small)
        shown.append(range(small.start * by, min(small.stop * by, length)))
    return tuple(smaller), tuple(shown)


def _unlike() -> StorageError:
    return UnsupportedOperation(
        "",
        None,
        "The resolutions of this image are not halves of one another, so that a region cannot be "
        "written into all of them.",
        'Load the image, change it, and save it again with if_exists="replace".',
    )
