"""The physical size of a TIFF's pixels, as its resolution tags say it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias, cast

from polystore.core.item import Metadata
from polystore.formats.tiff.note import Known, Words
from polystore.formats.tiff.units import converted, unit_named

if TYPE_CHECKING:
    from tifffile import TiffPage

__all__ = [
    "Steps",
    "pixel_steps",
    "rational_of",
    "resolution_in",
    "sized",
    "steps_of",
    "tag_steps",
    "tag_words",
]

Steps: TypeAlias = "dict[str, tuple[float, str]]"
"""By the name of an axis: how far one step goes, and in which unit."""

_RATIONAL_MAX = 2**31 - 1
"""TIFF's rationals are of 32 bits; some readers take them for signed."""

# ResolutionUnit. Inches are left out: they are dots per inch of a print, 72 of them in most files.
_RESOLUTION_UNITS = {"3": "centimeter", "4": "millimeter", "5": "micrometer"}

_AXES = {"x": "XResolution", "y": "YResolution"}
_CODES = {"XResolution": 282, "YResolution": 283}
_UNIT = "ResolutionUnit"


def steps_of(metadata: Metadata) -> Steps:
    """Give the steps of those axes whose scale and unit are both known; a symbol is a unit too.

    >>> steps_of(Metadata(axes=("y", "x"), scale=(2.0, 1.0), unit=("micrometer", "")))
    {'y': (2.0, 'micrometer')}
    """
    if not len(metadata.axes) == len(metadata.scale) == len(metadata.unit):
        return {}
    units = map(unit_named, metadata.unit)
    said = zip(metadata.axes, metadata.scale, units, strict=True)
    return {axis: (step, unit) for axis, step, unit in said if unit and _is_size(step) and step > 0}


def sized(axes: tuple[str, ...], steps: Steps) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Give the scale and the unit of each axis, or two empty tuples if no axis has any.

    An axis of which nothing is said has scale 1.0 and no unit (`""`), as in OME-Zarr.

    >>> sized(("z", "x"), {"x": (0.5, "micrometer")})
    ((1.0, 0.5), ('', 'micrometer'))
    """
    known = {axis: step for axis, step in steps.items() if _is_size(step[0]) and step[0] > 0}
    if known.keys().isdisjoint(axes):
        return (), ()
    found = [known.get(axis, (1.0, "")) for axis in axes]
    return tuple(size for size, _ in found), tuple(unit for _, unit in found)


def _is_size(step: float) -> bool:
    return math.isfinite(step)


def rational_of(step: float) -> str | None:
    """Give pixels per unit as a TIFF says them, or `None` for sizes beyond its integers.

    >>> rational_of(0.65), rational_of(1e-12)
    ('20/13', None)
    """
    pixels = 1 / Fraction(step)
    if not Fraction(1, _RATIONAL_MAX) < pixels < _RATIONAL_MAX:
        return None
    near = pixels.limit_denominator(min(_RATIONAL_MAX, int(_RATIONAL_MAX / pixels)))
    return f"{near.numerator}/{near.denominator}" if 0 < near.numerator <= _RATIONAL_MAX else None


def tag_words(known: Known) -> Words:
    """Give the resolution tags for an image in a unit of length; none for others."""
    steps = steps_of(known.metadata)
    words: dict[str, str] = {}
    for axis, name in _AXES.items():
        step, unit = steps.get(axis, (0.0, ""))
        centimeters = converted(step, unit, "centimeter") if unit else None
        rational = rational_of(centimeters) if centimeters else None
        if rational is None:
            return {}
        words[name] = rational
    return words | {_UNIT: "3"}


def tag_steps(words: Words) -> Steps:
    """Give what the resolution tags say, where their unit is metric."""
    unit = _RESOLUTION_UNITS.get(words.get(_UNIT, ""), "")
    return pixel_steps(words, unit) if unit else {}


def pixel_steps(words: Words, unit: str) -> Steps:
    """Give how far one pixel goes along x and y, in the unit that the file has."""
    steps: Steps = {}
    for axis, name in _AXES.items():
        pixels, slash, units = words.get(name, "").partition("/")
        if slash and int(pixels) > 0:
            steps[axis] = (int(units) / int(pixels), unit)
    return steps


def resolution_in(page: TiffPage) -> dict[str, str]:
    """Give the resolution tags of a page as words."""
    words: dict[str, str] = {}
    for name, code in _CODES.items():
        match cast("object", page.tags.valueof(code)):
            case (int(pixels), int(units)):
                words[name] = f"{pixels}/{units}"
            case _:
                pass
    unit = cast("object", page.tags.valueof(296))
    return words | {_UNIT: str(int(unit))} if isinstance(unit, int) else words
