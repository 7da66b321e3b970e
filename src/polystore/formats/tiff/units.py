"""Units of length and time: their names in OME-Zarr, their symbols in OME, and their sizes."""

from __future__ import annotations

import math
from fractions import Fraction

__all__ = ["converted", "is_time", "symbol_of", "unit_named"]

_PREFIXES = dict((
    *(("yotta", ("Y", 24)), ("zetta", ("Z", 21)), ("exa", ("E", 18)), ("peta", ("P", 15))),
    *(("tera", ("T", 12)), ("giga", ("G", 9)), ("mega", ("M", 6)), ("kilo", ("k", 3))),
    *(("hecto", ("h", 2)), ("", ("", 0)), ("deci", ("d", -1)), ("centi", ("c", -2))),
    *(("milli", ("m", -3)), ("micro", ("µ", -6)), ("nano", ("n", -9)), ("pico", ("p", -12))),
    *(("femto", ("f", -15)), ("atto", ("a", -18)), ("zepto", ("z", -21)), ("yocto", ("y", -24))),
))  # fmt: skip
"""Of the SI: symbol and power of ten."""


def _prefixed(name: str, symbol: str) -> dict[str, tuple[str, Fraction]]:
    return {
        prefix + name: (letter + symbol, Fraction(10) ** power)
        for prefix, (letter, power) in _PREFIXES.items()
    }


# By OME-Zarr's names (after UDUNITS): the symbols of OME's UnitsLength and UnitsTime, and the size
# in meters and seconds.
_LENGTHS = _prefixed("meter", "m") | {
    "angstrom": ("Å", Fraction(1, 10**10)),
    "inch": ("in", Fraction(254, 10**4)),
    "foot": ("ft", Fraction(3048, 10**4)),
    "yard": ("yd", Fraction(9144, 10**4)),
    "mile": ("mi", Fraction(1609344, 10**3)),
    "parsec": ("pc", Fraction(30856775814913673)),
}
_TIMES = _prefixed("second", "s") | {
    "minute": ("min", Fraction(60)),
    "hour": ("h", Fraction(3600)),
    "day": ("d", Fraction(86400)),
}
_UNITS = _LENGTHS | _TIMES

_OTHER_SYMBOLS = frozenset(("dam", "das", "ly", "ua", "li", "thou", "pt"))
"""Units that OME knows and OME-Zarr does not: they go by their symbols."""

_NAMES = {symbol: name for name, (symbol, _) in _UNITS.items()} | {
    **dict.fromkeys(("μm", "um", "micron", "microns", "\\u00B5m", "\\u00b5m"), "micrometer"),
    **dict.fromkeys(("μs", "us"), "microsecond"),
    "inches": "inch",
    "sec": "second",
    **dict.fromkeys(("", "pixel", "pixels", "reference frame"), ""),  # no unit at all
}
"""By symbol: as OME, ImageJ and its plugins write them, the Greek mu for the micro sign too."""


def unit_named(symbol: str) -> str:
    """Give OME-Zarr's name of a unit; `""` for none (and for pixels), others as they are.

    >>> unit_named("µm"), unit_named("micron"), unit_named("pixel"), unit_named("furlong")
    ('micrometer', 'micrometer', '', 'furlong')
    """
    symbol = symbol.strip()
    return _NAMES.get(symbol, symbol)


def symbol_of(unit: str, *, time: bool) -> str | None:
    """Give OME's symbol of a unit of length, or of time; `None` if OME has none.

    >>> symbol_of("micrometer", time=False), symbol_of("second", time=False)
    ('µm', None)
    """
    if unit in _OTHER_SYMBOLS and (unit == "das") is time:
        return unit
    known = (_TIMES if time else _LENGTHS).get(unit)
    return None if known is None else known[0]


def is_time(unit: str) -> bool:
    """Whether a unit is one of time.

    >>> is_time("minute"), is_time("micrometer")
    (True, False)
    """
    return unit in _TIMES


def converted(value: float, unit: str, into: str) -> float | None:
    """Give a finite value in another unit, rounded once; `None` where the two do not compare.

    >>> converted(250.0, "nanometer", "micrometer"), converted(1.0, "second", "meter")
    (0.25, None)
    >>> converted(1.0, "inch", "millimeter"), converted(1.0, "day", "second")
    (25.4, 86400.0)
    """
    if unit == into:
        return value
    kinds = [kind for kind in (_LENGTHS, _TIMES) if unit in kind and into in kind]
    if not kinds or not math.isfinite(value):
        return None
    try:
        return float(Fraction(value) * kinds[0][unit][1] / kinds[0][into][1])
    except OverflowError:
        return None
