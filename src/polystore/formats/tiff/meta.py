"""What a TIFF tells of its first series: in OME-XML, ImageJ's description, tags, and our note."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from attrs import evolve

from polystore.core.item import Metadata
from polystore.core.payload import Json
from polystore.formats.tiff import imagej, ome
from polystore.formats.tiff.ifd import Skeleton
from polystore.formats.tiff.note import OURS, Known, Words, agreed, from_note, noted
from polystore.formats.tiff.scale import resolution_in, sized, tag_steps, tag_words

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from tifffile import TiffFile, TiffPageSeries

__all__ = ["known_of", "unseen_pages"]


def unseen_pages(tif: TiffFile, skeleton: Skeleton) -> int:
    """Give how many pages of the file are in none of its series."""
    levels = [level for series in tif.series for level in series.levels]
    seen = sum(len(level) for level in levels if len(level.keyframe.treeindex) == 1)
    return max(len(skeleton.layouts) - seen, 0)


def known_of(tif: TiffFile, ome_root: Element | None, unseen: int) -> Known:
    """Give the shape of the first series, and what is known of it.

    `ome_root` is the root of the OME-XML, if there is one; `unseen` the number of pages in no
    series. The shape differs from tifffile's by axes of length 1 alone.
    """
    first, *others = tif.series
    shape = tuple(operator.index(length) for length in first.shape)
    axes = _axes(first.axes, len(shape))
    attributes = _attributes(others, unseen)
    if ome_root is not None:
        known = _from_ome(ome_root, shape, axes, first.dtype.char)
    elif tif.is_imagej:
        known = _from_imagej(tif, shape, axes, first.dtype.char)
    else:
        known = _from_tags(tif, shape, axes)
    return known if not attributes else _with(known, attributes)


def _with(known: Known, attributes: Mapping[str, Json]) -> Known:
    metadata = known.metadata
    return Known(known.shape, evolve(metadata, attributes={**attributes, **metadata.attributes}))


def _attributes(others: list[TiffPageSeries], unseen: int) -> dict[str, Json]:
    listed: list[Json] = [
        {
            "name": series.name,
            "shape": [int(length) for length in series.shape],
            "dtype": str(series.dtype),
            "axes": series.axes.lower(),
        }
        for series in others
    ]
    attributes: dict[str, Json] = {}
    attributes |= {"other_series": listed} if listed else {}
    attributes |= {"other_pages": unseen} if unseen else {}
    return attributes


def _from_ome(root: Element, shape: tuple[int, ...], axes: tuple[str, ...], dtype: str) -> Known:
    def words_of(known: Known) -> Words | None:
        letters = ome.ome_axes(known.shape, known.metadata.axes, dtype)
        problem = ome.image_problem(known.shape, letters, dtype)
        return None if problem is not None else ome.words_of(known, letters, dtype)

    words, note = ome.words_in(root)
    return _trusted(Known(shape, ome.said_by(words, axes)), note, words, words_of)


def _from_imagej(tif: TiffFile, shape: tuple[int, ...], axes: tuple[str, ...], dtype: str) -> Known:
    def words_of(known: Known) -> Words | None:
        letters = imagej.imagej_axes(known.shape, known.metadata.axes, dtype)
        problem = imagej.stack_problem(known.shape, letters, dtype)
        return None if problem is not None else imagej.words_of(known, letters)

    words, note = imagej.words_in(tif)
    return _trusted(Known(shape, imagej.said_by(words, axes)), note, words, words_of)


def _from_tags(tif: TiffFile, shape: tuple[int, ...], axes: tuple[str, ...]) -> Known:
    page = tif.pages.first
    words = resolution_in(page)
    scale, unit = sized(axes, tag_steps(words))
    said = Known(shape, Metadata(axes=axes, scale=scale, unit=unit))
    text = page.shaped_description or ""
    if f'"{OURS}"' not in text:
        return said
    described = cast("Mapping[str, object]", json.loads(text))  # tifffile has read it, too
    known = from_note(described.get(OURS), said)
    return agreed(said, known, words, lambda it: tag_words(it) or _NO_RESOLUTION)


# What tifffile writes where nothing is said of it.
_NO_RESOLUTION = {"XResolution": "1/1", "YResolution": "1/1", "ResolutionUnit": "1"}


def _trusted(
    said: Known, note: str | None, words: Words, words_of: Callable[[Known], Words | None]
) -> Known:
    if note is None:
        return said
    known = noted(note, said)
    return agreed(said, known, words, words_of)


def _axes(letters: str, ndim: int) -> tuple[str, ...]:
    """Give tifffile's letters as names of axes; none if one is unknown (`Q`, `I`) or double."""
    names = tuple(letters.lower())
    if "c" not in names:
        names = tuple("c" if name == "s" else name for name in names)
    known = len(set(names)) == len(names) == ndim and all(name.isalpha() for name in names)
    return names if known and not {"q", "i"} & set(names) else ()
