"""The skeleton of a TIFF, walked before tifffile sees it: every page is found, and none is a trap.

A TIFF is a chain of directories (IFDs), each a table of tags whose values may lie anywhere in the
file. tifffile follows whatever it is given: a chain that closes in a circle, a thousand directories
over the same bytes, each with a value as large as the file. Here the chain is followed once, in
time and memory that grow with the file alone, and what goes beyond is refused. (TIFF 6.0,
section 2, and the BigTIFF design.)
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from itertools import chain
from typing import TypeAlias

from attrs import frozen

from polystore.core.outcome import Failure, Outcome, catch, guard
from polystore.core.records import Readable
from polystore.formats.refusals import damaged, foreign

__all__ = ["Layout", "Skeleton", "elements_of", "survey"]

Layout: TypeAlias = "tuple[tuple[int, tuple[int, ...]], ...]"
"""The tags, with their values, that say how a page's samples are stored."""


@frozen
class Skeleton:
    """What was found.

    `layouts` has one for each page of the chain, in order; `values` is how many values of tags, in
    all pages and sub-pages, the reader will hold as Python integers.
    """

    layouts: tuple[Layout, ...]
    values: int


_WIDTH, _LENGTH, _SAMPLES, _DEPTH, _SUB_IFDS = 256, 257, 277, 32997, 330

_LAYOUT = frozenset((
    *(_WIDTH, _LENGTH, 258, 259),  # ImageWidth, ImageLength, BitsPerSample, Compression
    *(266, _SAMPLES, 278, 284, 317),  # FillOrder, SamplesPerPixel, RowsPerStrip, Planar, Predictor
    *(322, 323, 339, _DEPTH, 32998),  # TileWidth, TileLength, SampleFormat, ImageDepth, TileDepth
))  # fmt: skip
_NEEDED = _LAYOUT | {273, 279, 324, 325, _SUB_IFDS}  # and where strips, tiles and sub-pages lie

_TAGS_MAX = 4096  # what tifffile accepts in one directory
_VALUES_MAX = 64  # of one layout tag: one a sample, and more samples than these tell no more

# Types of values: their widths in bytes, and the integers among them as `struct` writes them.
_WIDTHS = {
    kind: width
    for width, kinds in (
        (1, (1, 2, 6, 7)),
        (2, (3, 8)),
        (4, (4, 9, 11, 13)),
        (8, (5, 10, 12, 16, 17, 18)),
    )
    for kind in kinds
}
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}


@frozen
class _Form:
    """One of the four forms of a TIFF: byte order, and classic or BigTIFF."""

    order: str
    count: struct.Struct
    entry: struct.Struct
    offset: struct.Struct
    first: int


def _form(order: str, big: bool) -> _Form:
    count, entry, offset = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    return _Form(
        order=order,
        count=struct.Struct(order + count),
        entry=struct.Struct(order + entry),
        offset=struct.Struct(order + offset),
        first=8 if big else 4,
    )


_FORMS = {
    b"II*\0": _form("<", False),
    b"MM\0*": _form(">", False),
    b"II+\0\x08\0\0\0": _form("<", True),
    b"MM\0+\0\x08\0\0": _form(">", True),
}

_HEADER = 16  # bytes, of the longer form
_FIRST_READ = 512  # bytes; holds most directories


@frozen
class _Directory:
    layout: Layout
    children: tuple[int, ...]
    following: int
    cost: int
    values: int


def survey(source: Readable, loaded: Collection[int]) -> Outcome[Skeleton]:
    """Walk the pages of a TIFF, and the pages below them.

    `loaded` are the tags whose values the reader loads at once. `Corrupt` for what is no TIFF (it
    says what it is), for a chain that is broken or runs in a circle, and for directories that
    overlap so much that reading them would take more than twice the file.
    """
    head = _read(source, 0, _HEADER)
    form = _FORMS.get(head[:4]) or _FORMS.get(head[:8])
    if form is None:
        return Failure(foreign("TIFF", source))
    return guard(
        lambda: _walk(source, form, _unpacked(form.offset, head[form.first :]), loaded),
        catch(ValueError, lambda error: damaged("TIFF", str(error))),
    )


def elements_of(layout: Layout) -> int:
    """Give how many samples a page claims.

    >>> elements_of(((256, (640,)), (257, (480,)), (277, (3,))))
    921600
    """
    tags = dict(layout)
    total = 1
    for code in (_WIDTH, _LENGTH, _SAMPLES, _DEPTH):
        total *= tags.get(code, (1,))[0]
    return total


def _walk(source: Readable, form: _Form, first: int, loaded: Collection[int]) -> Skeleton:
    layouts: list[Layout] = []
    seen: set[int] = set()
    offset, cost, values = first, 0, 0
    while offset:
        if offset in seen:
            raise ValueError("its chain of pages runs in a circle")
        seen.add(offset)
        page = _directory(source, form, offset, loaded)
        layouts.append(page.layout)
        # A sub-page is read for each time that it is named: so it is counted, too.
        for part in chain((page,), _children(source, form, page, loaded)):
            cost += part.cost
            values += part.values
            if cost > 2 * source.size:
                raise ValueError("its pages overlap each other")
        offset = page.following
    return Skeleton(tuple(layouts), values)


def _children(
    source: Readable, form: _Form, page: _Directory, loaded: Collection[int]
) -> Iterator[_Directory]:
    return (_directory(source, form, at, loaded) for at in page.children if at >= form.first)


def _directory(source: Readable, form: _Form, offset: int, loaded: Collection[int]) -> _Directory:
    """Read one directory; `ValueError` with the reason if it is not whole."""
    head = _read(source, offset, _FIRST_READ)
    count = _unpacked(form.count, head)
    if not 0 < count <= _TAGS_MAX:
        raise ValueError(f"the page at byte {offset} claims {count} tags")
    start, stop = form.count.size, form.count.size + count * form.entry.size
    if len(head) < stop + form.offset.size:
        head = _read(source, offset, stop + form.offset.size)
    following = _unpacked(form.offset, head[stop:])
    tags: dict[int, tuple[int, ...]] = {}
    cost, values = stop + form.offset.size, 0
    for code, kind, length, inline in form.entry.iter_unpack(head[start:stop]):
        if code not in loaded and code not in _NEEDED:
            continue
        nbytes = _WIDTHS.get(kind, 0) * length
        where = None if nbytes <= len(inline) else _unpacked(form.offset, inline)
        if where is not None and where + nbytes > source.size:
            raise ValueError(f"tag {code} of the page at byte {offset} lies beyond its end")
        values += length if nbytes else 0
        cost += nbytes if where is not None else 0
        if code in _LAYOUT or code == _SUB_IFDS:
            if kind not in _INTEGERS:
                raise ValueError(f"tag {code} of the page at byte {offset} is no integer")
            taken = length if code == _SUB_IFDS else min(length, _VALUES_MAX)
            wanted = taken * _WIDTHS[kind]
            raw = inline if where is None else _read(source, where, wanted)
            if len(raw) < wanted:
                raise ValueError("it ended while it was read")
            tags[code] = struct.unpack(f"{form.order}{taken}{_INTEGERS[kind]}", raw[:wanted])
    children = tags.pop(_SUB_IFDS, ())
    return _Directory(tuple(sorted(tags.items())), children, following, cost, values)


def _unpacked(form: struct.Struct, head: bytes) -> int:
    if len(head) < form.size:
        raise ValueError("it ends where a page should begin: it was cut off")
    (value,) = form.unpack(head[: form.size])
    return int(value)


def _read(source: Readable, offset: int, length: int) -> bytes:
    buffer = bytearray(max(min(length, source.size - offset), 0))
    return bytes(buffer[: source.read_into(offset, memoryview(buffer))]) if buffer else b""
