"""OME-XML: what it says of an image, and how it is written.

An OME image has rows and columns, and planes along z, c and t in any order; its pixels may have
several samples, as in RGB, which are one channel then. (The OME data model, schema 2016-06.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from polystore.core.item import Metadata
from polystore.core.payload import Json
from polystore.formats.tiff.note import OURS, Known, Words, note_text
from polystore.formats.tiff.scale import Steps, sized, steps_of
from polystore.formats.tiff.units import symbol_of, unit_named

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["image_problem", "ome_axes", "ome_xml", "said_by", "words_in", "words_of"]

_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"

_TYPES = {
    "?": "bit",
    "b": "int8",
    "h": "int16",
    "i": "int32",
    "B": "uint8",
    "H": "uint16",
    "I": "uint32",
    "f": "float",
    "d": "double",
    "F": "complex",
    "D": "double-complex",
}
"""OME's names of the dtypes that it knows, by NumPy's letters."""

_GUESSED = "tczyx"
"""What the axes are where nobody says it: OME-Zarr's, the last first."""

_PLANES = "zct"

_STEPS = {
    "x": ("PhysicalSizeX", "µm"),
    "y": ("PhysicalSizeY", "µm"),
    "z": ("PhysicalSizeZ", "µm"),
    "t": ("TimeIncrement", "s"),
}
"""The attribute of each axis' step, and the unit that it is in where none is given."""

_SIZES = tuple(f"Size{axis}" for axis in "XYZCT")


def ome_axes(shape: tuple[int, ...], axes: tuple[str, ...], dtype: str) -> str:
    """Give the axes as letters, samples as `s`, made up where there are none.

    A last axis `c` is the samples of a pixel; without axes, one of 3 or 4 integers of 8 or 16 bits.

    >>> ome_axes((9, 4, 5), (), "B"), ome_axes((4, 4, 3), ("y", "x", "c"), "H")
    ('zyx', 'yxs')
    """
    last = shape[-1] if len(shape) > 2 and dtype != "?" else 1
    if axes:
        if any(len(name) != 1 or name == "s" for name in axes):
            return ""
        return "".join(axes[:-1]) + "s" if last > 1 and axes[-1] == "c" else "".join(axes)
    is_rgb = last in (3, 4) and dtype in ("B", "H")
    ndim = len(shape) - is_rgb
    if not 2 <= ndim <= len(_GUESSED):
        return ""
    return _GUESSED[-ndim:] + "s" if is_rgb else _GUESSED[-ndim:]


def image_problem(shape: tuple[int, ...], letters: str, dtype: str) -> str | None:
    """Say why this is no image of OME's; `None` if it is one."""
    if dtype not in _TYPES:
        return "a dtype other than integers to 32 bits, floats of 32 and 64 bits, complex and bool"
    end = next((end for end in ("yx", "yxs", "yxc") if letters.endswith(end)), "")
    named = letters.removesuffix(end) + end[2:].replace("s", "c")
    fits = len(letters) == len(shape) and (end != "yxc" or shape[-1] == 1)
    if not end or not fits or not set(named) <= set(_PLANES) or len(set(named)) != len(named):
        return "axes other than some of t, c and z in any order, then y, x, and then samples"
    return None


def words_of(known: Known, letters: str, dtype: str) -> Words:
    """Give what is said of an image, whose axes are these letters."""
    lengths = dict(zip(letters.upper(), known.shape, strict=True))
    samples = lengths.pop("S", 1)
    planes = [axis.upper() for axis in reversed(letters) if axis in _PLANES]
    missing = [axis.upper() for axis in _PLANES if axis.upper() not in planes]
    order = ["C", *planes, *missing] if samples > 1 else [*planes, *missing]
    words = {"OrderOfDimensions": "XY" + "".join(dict.fromkeys(order))}
    words |= {size: str(lengths.get(size[-1], 1)) for size in _SIZES}
    words["SizeC"] = str(lengths.get("C", 1) * samples)
    words["SizeOfSamples"] = str(samples)
    words["Type"] = _TYPES[dtype]
    for axis, (step, unit) in steps_of(known.metadata).items():
        symbol = symbol_of(unit, time=axis == "t") if axis in _STEPS else None
        if symbol is not None:
            words |= {_STEPS[axis][0]: repr(float(step)), f"{_STEPS[axis][0]}Unit": symbol}
    names = known.metadata.channel_names
    if samples == 1 and len(names) == lengths.get("C", 1) and all(map(_is_xml, names)):
        words |= {f"Name{index}": name for index, name in enumerate(names)}
    return words


def _is_xml(text: str) -> bool:
    """Whether XML 1.0 can say the text: no controls, no surrogates, no byte order marks."""
    return all(
        (character >= " " and not 0xD800 <= ord(character) < 0xE000)
        and character not in "\x7f\ufffe\uffff"
        for character in text
    )


def ome_xml(words: Words, note: Mapping[str, Json]) -> bytes:
    """Give the OME-XML of one image, ASCII, and the note as an annotation, if there is any."""
    from xml.etree.ElementTree import Element, SubElement, tostring

    root = Element("OME", {
        "xmlns": _SCHEMA,
        "xmlns:xsi": _XSI,
        "xsi:schemaLocation": f"{_SCHEMA} {_SCHEMA}/ome.xsd",
        "Creator": OURS,
    })  # fmt: skip
    image = SubElement(root, "Image", {"ID": "Image:0", "Name": "Image0"})
    sizes = [(key, words[key]) for key in _SIZES]
    steps = [(key, word) for key, word in words.items() if key.startswith(("Phys", "Time"))]
    samples = int(words["SizeOfSamples"])
    pixels = SubElement(image, "Pixels", {
        "ID": "Pixels:0",
        "DimensionOrder": words["OrderOfDimensions"],
        "Type": words["Type"],
        **dict(sizes),
        **({"Interleaved": "true"} if samples > 1 else {}),
        **dict(steps),
    })  # fmt: skip
    for index in range(int(words["SizeC"]) // samples):
        channel = {"ID": f"Channel:0:{index}", "SamplesPerPixel": str(samples)}
        name = words.get(f"Name{index}")
        SubElement(pixels, "Channel", channel if name is None else channel | {"Name": name})
    planes = math.prod(int(words[f"Size{axis}"]) for axis in "ZCT") // samples
    SubElement(pixels, "TiffData", {"IFD": "0", "PlaneCount": str(planes)})
    if note:
        SubElement(image, "AnnotationRef", {"ID": "Annotation:0"})
        annotations = SubElement(root, "StructuredAnnotations")
        ours = {"ID": "Annotation:0", "Namespace": OURS}
        comment = SubElement(annotations, "CommentAnnotation", ours)
        SubElement(comment, "Value").text = note_text(note)
    return b'<?xml version="1.0" encoding="UTF-8"?>' + tostring(root, "unicode").encode(
        "ascii", "xmlcharrefreplace"
    )


def words_in(root: Element) -> tuple[dict[str, str], str | None]:
    """Give what OME-XML says of its first image, and the note in it, if there is one."""
    words: dict[str, str] = {}
    pixels = next((each for each in root.iter() if _is(each, "Pixels")), None)
    if pixels is None:
        return words, None
    words["OrderOfDimensions"] = pixels.get("DimensionOrder", "")
    words |= {size: pixels.get(size, "1") for size in (*_SIZES, "Type")}
    for name, unit in _STEPS.values():
        step = pixels.get(name)
        if step is not None:
            words |= {name: step, f"{name}Unit": pixels.get(f"{name}Unit", unit)}
    channels = [each for each in pixels if _is(each, "Channel")]
    words["SizeOfSamples"] = channels[0].get("SamplesPerPixel", "1") if channels else "1"
    names = [each.get("Name") for each in channels]
    words |= {f"Name{index}": name for index, name in enumerate(names) if name is not None}
    return words, _note_in(root)


def _note_in(root: Element) -> str | None:
    for each in root.iter():
        if _is(each, "CommentAnnotation") and each.get("Namespace") == OURS:
            return next((inner.text for inner in each if _is(inner, "Value")), None)
    return None


def _is(element: Element, name: str) -> bool:
    return element.tag.rpartition("}")[2] == name


def said_by(words: Words, axes: Sequence[str]) -> Metadata:
    """Give the metadata that OME-XML tells of an array of these axes.

    Channels that have no name among others that do are named `""`.
    """
    steps: Steps = {}
    for axis, (name, _) in _STEPS.items():
        if name in words:
            steps[axis] = (_number(words[name]), unit_named(words[f"{name}Unit"]))
    scale, unit = sized(tuple(axes), steps)
    named = [key for key in words if key.startswith("Name")]
    channels = _count(words.get("SizeC")) if named and words.get("SizeOfSamples") == "1" else 0
    names = tuple(words.get(f"Name{index}", "") for index in range(min(channels, 2**16)))
    whole = all(_count(key.removeprefix("Name")) < len(names) for key in named)
    return Metadata(axes=tuple(axes), scale=scale, unit=unit, channel_names=names if whole else ())


def _count(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
