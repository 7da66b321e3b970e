"""TIFF, written with tifffile and read with its help: one array, its axes, sizes and channels.

A `.tif` is what ImageJ takes for its own, or a plain TIFF that tifffile describes; an `.ome.tif`
holds OME-XML. All three are TIFFs to any reader, and all are read here whatever their suffix.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from attrs import evolve

from polystore.configs import OME_TIFF, TIFF, TiffOptions
from polystore.core.errors import UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import Failure, Outcome, Success, catch, guard, is_successful
from polystore.core.payload import HostArray, Json, Payload
from polystore.core.records import Codec, Encoded
from polystore.formats.refusals import cannot_hold, host_array, reason_of
from polystore.formats.tiff import imagej, ome
from polystore.formats.tiff.decode import decode, open_lazily
from polystore.formats.tiff.note import OURS, Known, Words, carried, note_of, note_text
from polystore.formats.tiff.scale import tag_words
from polystore.formats.tiff.write import (
    COMPRESSIONS,
    Description,
    Layout,
    is_big,
    pages_of,
    samples_of,
    written,
)

__all__ = ["OME_TIFF_CODEC", "TIFF_CODEC"]

_DTYPES = frozenset("?bhilqBHILQefdFD")
"""NumPy's letters for what SampleFormat and BitsPerSample can say: to 64 bits, complex to 128."""

_LEVELS = {"deflate": range(10), "zstd": range(-(2**17), 23)}  # zlib's, and Zstandard's

_KINDS = ("auto", "imagej", "plain")

_Plan: TypeAlias = "tuple[Layout, Description]"


def _encode(
    name: str,
    plan: Callable[[HostArray, Metadata, TiffOptions], Outcome[_Plan]],
    item: Item[Payload],
    options: object,
    /,
) -> Outcome[Encoded]:
    found = host_array(item, name)
    if not is_successful(found):
        return Failure(found.failure())
    array = found.unwrap()
    how = options if isinstance(options, TiffOptions) else TiffOptions()
    problem = _problem(array, how)
    if problem is not None:
        return Failure(cannot_hold(name, *problem))
    metadata, dropped = carried(item.metadata, array.ndim)
    planned = plan(array, metadata, how)
    if not is_successful(planned):
        return Failure(planned.failure())
    layout, described = planned.unwrap()
    unwritable = partial(_unwritable, name)
    return guard(
        lambda: evolve(written(array, layout, described, how), dropped=dropped),
        catch(ValueError, unwritable),
        catch(RuntimeError, unwritable),
        catch(struct.error, unwritable),
    )


def _unwritable(name: str, error: Exception) -> UnsupportedPayload:
    return cannot_hold(name, f"this array ({reason_of(error)})", "Save it as .npy or in Zarr.")


def _problem(array: HostArray, options: TiffOptions) -> tuple[str, str] | None:
    """Say what of the array or the options TIFF has no way to say, and what to do about it."""
    # The letters of ml_dtypes are those of other dtypes in NumPy, and their kind is another.
    if array.dtype.char not in _DTYPES or array.dtype.kind not in "biufc":
        return f"the dtype {array.dtype}", "Convert it to numbers of up to 64 bits, or use .npy."
    if array.size == 0:
        return f"an empty array, of shape {array.shape}", "Save it as .npy or in Zarr."
    if any(length >= 2**32 for length in array.shape):
        return f"an axis of {max(array.shape)}", "Save it as .npy or in Zarr."
    if array.dtype.char == "?" and array.size == 1 and array.ndim < 2:
        return "a single bool without two axes", "Make it an image: array.reshape(1, 1)."
    return _option_problem(options)


def _option_problem(options: TiffOptions) -> tuple[str, str] | None:
    if options.kind not in _KINDS:
        return f"the kind {options.kind!r}", f"Choose one of {', '.join(_KINDS)}."
    if options.compression not in ("none", *COMPRESSIONS):
        known = ", ".join(("none", *COMPRESSIONS))
        return f"the compression {options.compression!r}", f"Choose one of {known}."
    levels = _LEVELS.get(options.compression, range(0))
    if options.level is not None and options.level not in levels:
        words = f"from {levels[0]} to {levels[-1]}" if levels else "None"
        what = f"compression {options.compression!r} at level {options.level}"
        return what, f"The level has to be {words}."
    return None


def _tiff_plan(array: HostArray, metadata: Metadata, options: TiffOptions) -> Outcome[_Plan]:
    if options.kind == "plain" or (options.kind == "auto" and not metadata.axes):
        return Success(_plain_plan(array, metadata))
    letters = imagej.imagej_axes(array.shape, metadata.axes, array.dtype.char)
    problem = _imagej_problem(array, letters, options)
    if options.kind == "imagej":
        if problem is not None:
            advice = "Convert it, reorder its axes, or leave the kind to polystore: kind='auto'."
            return Failure(cannot_hold("An ImageJ TIFF", problem, advice))
        return Success(_imagej_plan(array, metadata, letters))
    if problem is not None or is_big(array, pages_of(array.shape, letters)):
        return Success(_plain_plan(array, metadata))
    if not imagej.is_told(imagej.words_of(Known(array.shape, metadata), letters)):
        return Success(_plain_plan(array, metadata))
    return Success(_imagej_plan(array, metadata, letters))


def _imagej_problem(array: HostArray, letters: str, options: TiffOptions) -> str | None:
    if options.compression == "zstd":
        return "the compression 'zstd'"
    problem = imagej.stack_problem(array.shape, letters, array.dtype.char)
    if problem is None and options.compression != "none":
        is_long = is_big(array, pages_of(array.shape, letters))
        return "a compressed array of 4 GiB and more" if is_long else None
    return problem


def _imagej_plan(array: HostArray, metadata: Metadata, letters: str) -> _Plan:
    known = Known(array.shape, metadata)
    words = imagej.words_of(known, letters)
    note = note_of(known, _seen(known, letters, lambda axes: imagej.said_by(words, axes)))
    layout = pages_of(array.shape, letters)
    text = imagej.description(words, note_text(note) if note else None)
    described = Description(
        text=text.encode("ascii"),
        resolution=_resolution(words),
        resolution_unit=1,
        labels=imagej.labels_of(words),
        only_first=is_big(array, layout),
    )
    return layout, described


def _resolution(words: Words) -> tuple[tuple[int, int], tuple[int, int]] | None:
    if "XResolution" not in words:
        return None
    x, y = (
        (int(over), int(under))
        for over, _, under in (words[key].partition("/") for key in ("XResolution", "YResolution"))
    )
    return x, y


def _seen(known: Known, letters: str, said_by: Callable[[list[str]], Metadata]) -> Known:
    """Give what readers see, who take an axis of length 1 for none unless it is x or y."""
    seen = [
        (axis.replace("s", "c"), length)
        for axis, length in zip(letters, known.shape, strict=True)
        if length > 1 or axis in "yx"
    ]
    return Known(tuple(length for _, length in seen), said_by([axis for axis, _ in seen]))


def _plain_plan(array: HostArray, metadata: Metadata) -> _Plan:
    """Give the plan of a TIFF with tifffile's own description, in which our note stands."""
    known = Known(array.shape, metadata)
    letters = _letters(metadata.axes)
    words = tag_words(known)
    extra: dict[str, Json] = {} if letters is None else {"axes": letters}
    note = note_of(known, Known(array.shape, Metadata(axes=metadata.axes)))
    if letters is None and metadata.present():
        note["axes"] = list(metadata.axes)  # also that there are none: readers make some up
    if letters is None and array.size == 1 and array.ndim > 4:
        # tifffile fails to make up axes for such an array; `Q` is its letter for "not known".
        extra["axes"] = "Q" * (array.ndim - 2) + "YX"
    if note:
        extra[OURS] = note
    described = Description(
        extra=extra, resolution=_resolution(words), resolution_unit=3 if words else None
    )
    return Layout(array.shape, samples_of(array, metadata.axes)), described


def _letters(axes: tuple[str, ...]) -> str | None:
    """Give the axes as the letters that tifffile keeps, or `None` if it cannot keep them."""
    letters = "".join(axes).upper()  # of which it reads S as samples, and Q and I as not known
    single = all(len(name) == 1 and name.isascii() and name.islower() for name in axes)
    known = single and len(set(letters)) == len(letters) and not set("QIS") & set(letters)
    return letters if known and letters else None


def _ome_plan(array: HostArray, metadata: Metadata, options: TiffOptions) -> Outcome[_Plan]:
    dtype = array.dtype.char
    letters = ome.ome_axes(array.shape, metadata.axes, dtype)
    problem = ome.image_problem(array.shape, letters, dtype)
    if problem is None and options.kind != "auto":
        problem = f"the kind {options.kind!r}"
    if problem is not None:
        advice = "Convert it or reorder its axes, or save it as .tif or in Zarr."
        return Failure(cannot_hold("OME-TIFF", problem, advice))
    known = Known(array.shape, metadata)
    words = ome.words_of(known, letters, dtype)
    note = note_of(known, _seen(known, letters, lambda axes: ome.said_by(words, axes)))
    described = Description(text=ome.ome_xml(words, note))
    return Success((pages_of(array.shape, letters), described))


TIFF_CODEC: Codec[HostArray] = Codec(
    format=TIFF,
    encode=partial(_encode, "TIFF", _tiff_plan),
    decode=decode,
    open=open_lazily,
    options=TiffOptions,
)
"""The record of TIFF."""

OME_TIFF_CODEC: Codec[HostArray] = Codec(
    format=OME_TIFF,
    encode=partial(_encode, "OME-TIFF", _ome_plan),
    decode=decode,
    open=open_lazily,
    options=TiffOptions,
)
"""The record of OME-TIFF."""
