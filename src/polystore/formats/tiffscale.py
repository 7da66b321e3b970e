"""The physical size of a TIFF's pixels, where the file truly says it: in OME, ImageJ or tags."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from tifffile import TiffFile

__all__ = ["physical_size"]

Steps: TypeAlias = "dict[str, tuple[float, str]]"
"""By the name of an axis: how far one step goes, and in which unit."""

# As OME, ImageJ and its plugins write them, and as OME-Zarr names them (after UDUNITS).
_UNITS = {
    **dict.fromkeys(
        ("µm", "μm", "um", "micron", "microns", "micrometer", "\\u00B5m"), "micrometer"
    ),
    "nm": "nanometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
    "km": "kilometer",
    "pm": "picometer",
    "Å": "angstrom",
    "in": "inch",
    "inch": "inch",
    "s": "second",
    "sec": "second",
    "ms": "millisecond",
    "µs": "microsecond",
    "ns": "nanosecond",
    "min": "minute",
    "h": "hour",
    "d": "day",
}

# ResolutionUnit. Inches are left out: they are dots per inch of a print, 72 of them in most files.
_RESOLUTION_UNITS = {3: "centimeter", 4: "millimeter", 5: "micrometer"}


def physical_size(
    tif: TiffFile, ome: Element | None, axes: tuple[str, ...]
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Give the scale and the unit of each axis, or two empty tuples if no axis has any.

    `ome` is the root of the OME-XML, if there is one. An axis of which nothing is said has scale
    1.0 and no unit (`""`), as in OME-Zarr.
    """
    if ome is not None:
        steps = _from_ome(ome)
    elif tif.is_imagej:
        steps = _from_imagej(tif)
    else:
        steps = _from_resolution(tif)
    known = {axis: step for axis, step in steps.items() if math.isfinite(step[0]) and step[0] > 0}
    if known.keys().isdisjoint(axes):
        return (), ()
    found = [known.get(axis, (1.0, "")) for axis in axes]
    return tuple(size for size, _ in found), tuple(unit for _, unit in found)


def _from_ome(root: Element) -> Steps:
    pixels = next((each for each in root.iter() if each.tag.endswith("Pixels")), None)
    if pixels is None:
        return {}
    said = {axis: (f"PhysicalSize{axis.upper()}", "µm") for axis in "xyz"}
    said["t"] = ("TimeIncrement", "s")
    return {
        axis: (_number(pixels.get(name)), _UNITS.get(pixels.get(f"{name}Unit", default), ""))
        for axis, (name, default) in said.items()
    }


def _from_imagej(tif: TiffFile) -> Steps:
    said = cast("Mapping[str, object]", tif.imagej_metadata or {})
    unit = _UNITS.get(str(said.get("unit", "")), "")
    steps = {"t": (_number(said.get("finterval")), "second")}
    if unit:
        steps |= {axis: (step, unit) for axis, step in _pixel(tif).items()}
        steps["z"] = (_number(said.get("spacing")), unit)
    return steps


def _from_resolution(tif: TiffFile) -> Steps:
    code = cast("object", tif.pages.first.tags.valueof(296))  # ResolutionUnit
    unit = _RESOLUTION_UNITS.get(code, "") if isinstance(code, int) else ""
    return {axis: (step, unit) for axis, step in _pixel(tif).items()} if unit else {}


def _pixel(tif: TiffFile) -> dict[str, float]:
    """Give how far one pixel goes along x and y, in the unit that the file has."""
    tags = tif.pages.first.tags
    steps: dict[str, float] = {}
    for axis, code in (("x", 282), ("y", 283)):  # XResolution, YResolution: pixels per unit
        resolution = cast("object", tags.valueof(code))
        match resolution:
            case (int(pixels), int(units)) if pixels > 0:
                steps[axis] = units / pixels
            case _:
                steps[axis] = math.nan
    return steps


def _number(said: object) -> float:
    try:
        return float(cast("str", said))
    except (TypeError, ValueError):
        return math.nan
