"""ImageJ's words in a TIFF: a description of `key=value` lines, and a label for each plane.

ImageJ knows a hyperstack of frames, slices, channels, rows and columns, in that order, of 8 and 16
bits unsigned, 32-bit floats, or RGB. (As its `FileSaver` and `TiffEncoder` write, and its
`FileOpener` and `TiffDecoder` read.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from polystore.core.item import Metadata
from polystore.formats.tiff.note import OURS, Known, Words
from polystore.formats.tiff.scale import (
    Steps,
    pixel_steps,
    rational_of,
    resolution_in,
    sized,
    steps_of,
)
from polystore.formats.tiff.units import converted, is_time, symbol_of, unit_named

if TYPE_CHECKING:
    from tifffile import TiffFile

__all__ = [
    "description",
    "imagej_axes",
    "is_told",
    "labels_of",
    "said_by",
    "stack_problem",
    "words_in",
    "words_of",
]

_COUNTS = {"c": "channels", "z": "slices", "t": "frames"}
"""By axis, in the order in which ImageJ writes them."""

_GUESSED = ("", "x", "yx", "zyx", "tzyx", "tzcyx")
"""By number of axes: what ImageJ takes them for, where nobody says what they are."""

_PLANE_MAX = 2**31 - 1
"""Pixels of a plane: the most elements that an array of Java has."""

_MICRON = "micron"  # what ImageJ writes, who cannot write the sign in ASCII


def imagej_axes(shape: tuple[int, ...], axes: tuple[str, ...], dtype: str) -> str:
    """Give the axes as letters, the samples of RGB as `s`, made up where there are none.

    >>> imagej_axes((9, 4, 4), (), "H"), imagej_axes((4, 4, 3), ("y", "x", "c"), "B")
    ('zyx', 'yxs')
    """
    is_rgb = dtype == "B" and len(shape) > 2 and shape[-1] == 3
    if not axes:
        ndim = len(shape) - is_rgb
        guessed = _GUESSED[ndim] if ndim < len(_GUESSED) else ""
        return guessed + "s" if is_rgb else guessed
    if any(len(name) != 1 or name == "s" for name in axes):
        return ""
    return "".join(axes[:-1]) + "s" if is_rgb and axes[-1] == "c" else "".join(axes)


def stack_problem(shape: tuple[int, ...], letters: str, dtype: str) -> str | None:
    """Say why this is no hyperstack; `None` if it is one."""
    if dtype not in ("B", "H", "f"):
        return "a dtype other than uint8, uint16 and float32"
    places = ["tzcyxs".find(letter) for letter in letters]
    if len(letters) != len(shape) or places != sorted(set(places)) or -1 in places:
        return "axes other than some of t, z, c, y, x, in this order"
    if not {"y", "x"} <= set(letters):
        return "an array that has no axes y and x"
    if math.prod(shape[letters.index("y") :]) > _PLANE_MAX:
        return "planes of 2**31 pixels and more"
    return None


def words_of(known: Known, letters: str) -> Words:
    """Give what is said of a hyperstack, whose axes are these letters."""
    lengths = dict(zip(letters, known.shape, strict=True))
    words = {f"Size {key}": str(lengths.get(axis, 1)) for axis, key in _COUNTS.items()}
    words |= _size_words(steps_of(known.metadata))
    names = known.metadata.channel_names
    if len(names) == lengths.get("c", 1) and "s" not in letters and all(map(_is_label, names)):
        words |= {f"Name {index}": name for index, name in enumerate(names)}
    return words


def _is_label(name: str) -> bool:
    return not any(0xD800 <= ord(character) < 0xE000 for character in name)


def _size_words(steps: Steps) -> dict[str, str]:
    words: dict[str, str] = {}
    step, unit = steps.get("x", (0.0, ""))
    rationals = [
        rational_of(size) if size else None
        for size in (converted(*steps.get(axis, (0.0, "")), unit) for axis in "xy")
    ]
    word = _unit_word(unit)
    if step and word and rationals[0] and rationals[1]:
        words |= {"unit": word, "XResolution": rationals[0], "YResolution": rationals[1]}
        words["ResolutionUnit"] = "1"
        spacing = converted(*steps.get("z", (0.0, "")), unit)
        words |= {"spacing": repr(float(spacing))} if spacing else {}
    interval = converted(*steps.get("t", (0.0, "")), "second")
    return words | ({"finterval": repr(float(interval))} if interval else {})


def _unit_word(unit: str) -> str | None:
    """Give ImageJ's word for a unit; `None` if ImageJ would take it for another, or for none."""
    symbol = symbol_of(unit, time=False)
    word = _MICRON if unit == "micrometer" else symbol if symbol and symbol.isascii() else unit
    is_word = word.isascii() and word.isprintable() and "\\" not in word and word == word.strip()
    return word if is_word and unit_named(word) == unit and not is_time(unit) else None


def description(words: Words, note: str | None) -> str:
    """Give ImageJ's description, ASCII; a note stands under a key of ours, which ImageJ ignores."""
    counts = {key: int(words[f"Size {key}"]) for key in _COUNTS.values()}
    planes = math.prod(counts.values())
    lines = ["ImageJ=1.53t", f"images={planes}"]
    lines += [f"{key}={count}" for key, count in counts.items() if count > 1]
    if planes > 1:
        lines += ["hyperstack=true", "mode=grayscale"]
    lines += [f"{key}={words[key]}" for key in ("unit", "finterval", "spacing") if key in words]
    lines += ["loop=false"] if planes > 1 else []
    lines += [] if note is None else [f"{OURS}={note}"]
    return "\n".join((*lines, ""))


def labels_of(words: Words) -> list[str]:
    """Give the label of each plane: the name of its channel."""
    names = _names(words)
    return names * (int(words["Size slices"]) * int(words["Size frames"])) if names else []


def is_told(words: Words) -> bool:
    """Whether there is something that ImageJ would not know of a plain TIFF.

    >>> is_told({"Size frames": "1", "Size slices": "1", "Size channels": "1"})
    False
    """
    return any(word != "1" for word in words.values())


def _names(words: Words) -> list[str]:
    return [word for key, word in words.items() if key.startswith("Name")]


def words_in(tif: TiffFile) -> tuple[dict[str, str], str | None]:
    """Give what an ImageJ TIFF says, and the note in it, if there is one."""
    page = tif.pages.first
    lines = dict(_lines(page.imagej_description or ""))
    words = {f"Size {key}": str(_count(lines.get(key))) for key in _COUNTS.values()}
    words |= resolution_in(page)
    said = ("unit", "spacing", "finterval", "tunit")
    words |= {key: lines[key] for key in said if key in lines}
    if "unit" not in lines:
        for key in ("XResolution", "YResolution", "ResolutionUnit"):
            words.pop(key, None)
    labels = cast("Mapping[str, object]", tif.imagej_metadata or {}).get("Labels")
    names = _channel_names(labels, words)
    words |= {f"Name {index}": name for index, name in enumerate(names)}
    return words, lines.get(OURS)


def _lines(text: str) -> list[tuple[str, str]]:
    parts = [line.partition("=") for line in text.split("\n")]
    return [(key.strip(), value.strip()) for key, equals, value in parts if equals]


def _count(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 1


def _channel_names(labels: object, words: Words) -> list[str]:
    """Give the channels' names, where the labels of their planes agree on them."""
    given = [labels] if isinstance(labels, str) else labels
    if not isinstance(given, list):
        return []
    texts = [text for text in cast("list[object]", given) if isinstance(text, str)]
    channels = int(words["Size channels"])
    planes = channels * int(words["Size slices"]) * int(words["Size frames"])
    names = texts[:channels]
    every = len(texts) in (channels, planes) and texts == names * (len(texts) // channels)
    return names if every and len(names) == channels else []


def said_by(words: Words, axes: Sequence[str]) -> Metadata:
    """Give the metadata that an ImageJ TIFF tells of an array of these axes.

    The label of a single channel is no name: it is most often that of a file.
    """
    steps: Steps = {}
    unit = unit_named(words.get("unit", ""))
    if unit:
        steps |= pixel_steps(words, unit)
        steps["z"] = (_number(words.get("spacing")), unit)
    seconds = unit_named(words.get("tunit", "sec"))
    steps["t"] = (_number(words.get("finterval")), seconds if is_time(seconds) else "second")
    scale, units = sized(tuple(axes), steps)
    names = _names(words)
    known = tuple(names) if len(names) > 1 and any(names) else ()
    return Metadata(axes=tuple(axes), scale=scale, unit=units, channel_names=known)


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
