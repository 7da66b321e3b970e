"""OME-XML held against the file that it is in, before tifffile makes lists as long as it says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from polystore.formats.tiff.ifd import Layout, elements_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["ome_problem", "parse_ome"]

_COUNTS = frozenset({"IFD", "NumPlanes", "PlaneCount"})


def parse_ome(xml: str | None) -> Element | None:
    """Give the root of OME-XML; `None` for text that is no XML, or that defines entities.

    OME-XML never defines any, and a few lines of them can say gigabytes.
    """
    from xml.etree.ElementTree import ParseError, fromstring

    if xml is None or "<!" in xml.replace("<!--", "").replace("<![CDATA[", ""):
        return None
    try:
        return fromstring(xml)  # noqa: S314 - no entities, and nothing is fetched
    except (ParseError, ValueError):
        return None


def ome_problem(root: Element, layouts: Sequence[Layout]) -> str | None:
    """Say what the OME-XML of a TIFF describes that its pages cannot hold; `None` if they can.

    What it places in other files counts as missing: one file is read here.

    >>> pixels = '<Pixels DimensionOrder="XYZCT" SizeX="4" SizeY="4" SizeZ="9" SizeC="1"/>'
    >>> root = parse_ome(f"<OME><Image>{pixels}</Image></OME>")
    >>> page = ((256, (4,)), (257, (4,)))
    >>> ome_problem(root, [page] * 9)
    >>> ome_problem(root, [page])
    'its OME-XML describes 9 planes, and it holds 1; others may be in other files'
    """
    pages = len(layouts)
    elements = sum(map(elements_of, layouts))
    for element in root.iter():
        problem = _problem(element, pages, elements)
        if problem is not None:
            return problem
    return None


def _problem(element: Element, pages: int, elements: int) -> str | None:
    if element.tag.endswith("Pixels"):
        # The two axes of a plane come first in every order that OME knows.
        if not element.get("DimensionOrder", "XY").startswith("XY"):
            return "its OME-XML has an order of dimensions that OME does not know"
        sizes = {name: size for name, size in _integers(element) if name.startswith("Size")}
        planes = math.prod(size for name, size in sizes.items() if name not in ("SizeX", "SizeY"))
        planes //= _samples(element)
        if planes > pages:
            described = f"its OME-XML describes {planes} planes, and it holds {pages}"
            return f"{described}; others may be in other files"
        if math.prod(sizes.values()) > elements:
            return "its OME-XML describes more samples than its pages hold"
    if any(
        count > pages
        for name, count in _integers(element)
        if name in _COUNTS or name.startswith("First")
    ):
        return "its OME-XML counts more planes than it has pages"
    if element.tag[:-1].endswith("Along") and _steps(element) > elements:
        return "its OME-XML divides an axis into more steps than it has samples"
    return None


def _integers(element: Element) -> Iterator[tuple[str, int]]:
    for name, text in element.items():
        try:
            yield name, int(text)
        except ValueError:  # tifffile says what is wrong with it
            continue


def _samples(pixels: Element) -> int:
    channel = next((each for each in pixels if each.tag.endswith("Channel")), None)
    counts = dict(_integers(channel)) if channel is not None else {}
    return max(counts.get("SamplesPerPixel", 1), 1)


def _steps(along: Element) -> float:
    try:
        start, end, step = (float(along.get(name, "1")) for name in ("Start", "End", "Step"))
    except ValueError:
        return 0
    return abs(end - start) / abs(step) if step else math.inf
