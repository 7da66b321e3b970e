"""From an item's metadata to that of its OME-Zarr image, and back.

What OME-Zarr cannot say, or says otherwise, is in our notes beside it. Where another program has
changed what OME-Zarr says since, that counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from attrs import evolve, frozen

from polystore.backends.zarr.ome.axes import ImageAxes, inverse, permuted
from polystore.backends.zarr.ome.metadata import Level, OmeImage, OmeVersion
from polystore.backends.zarr.ome.omero import channel_labels, given_omero
from polystore.backends.zarr.ome.pyramid import Downsampling, factors, halved_shape
from polystore.core.item import Metadata
from polystore.core.payload import Json
from polystore.formats.tiff.units import unit_named

__all__ = ["Form", "agreed", "channel_axis", "described", "metadata_in"]

_CHANNEL = "c"


@frozen
class Form:
    """How an image is to be written: in which version, at which paths, of which resolutions."""

    version: OmeVersion
    downsampling: Downsampling
    paths: tuple[str, ...]
    name: str = ""


def channel_axis(axes: Sequence[str]) -> int | None:
    """Give which axis is that of the channels, if there is one.

    >>> channel_axis(("c", "y", "x")), channel_axis(("y", "x"))
    (0, None)
    """
    return axes.index(_CHANNEL) if _CHANNEL in axes else None


def described(metadata: Metadata, axes: ImageAxes, shape: tuple[int, ...], form: Form) -> OmeImage:
    """Give the metadata of an image whose array is stored in this shape; of its channels nothing.

    The mean of two pixels lies between them: by half a pixel of the level before, a level is moved
    (ngff-zarr writes the same). An axis of which nothing is known has scale 1.
    """
    ndim = len(shape)
    said = metadata.scale if len(metadata.scale) == ndim else (1.0,) * ndim
    scale = tuple(s if math.isfinite(s) and s > 0 else 1.0 for s in permuted(said, axes.order))
    units = metadata.unit if len(metadata.unit) == ndim else ("",) * ndim
    shift = permuted(_translation(metadata, ndim), axes.order)
    levels: list[Level] = []
    for path in form.paths:
        levels.append(Level(path, scale, shift))
        by = factors(shape)
        if form.downsampling == "mean":
            moved = zip(shift, by, scale, strict=True)
            shift = tuple(at + (factor - 1) * step / 2 for at, factor, step in moved)
        scale = tuple(step * factor for step, factor in zip(scale, by, strict=True))
        shape = halved_shape(shape)
    return OmeImage(
        form.version,
        axes.names,
        tuple(map(unit_named, permuted(units, axes.order))),
        tuple(levels),
        form.name,
        form.downsampling,
    )


def _translation(metadata: Metadata, ndim: int) -> tuple[float, ...]:
    """Give the translation that was read from another image, where it is one number an axis."""
    said = metadata.attributes.get("translation")
    if not isinstance(said, (list, tuple)) or len(said) != ndim:
        return (0.0,) * ndim
    numbers = [it for it in said if isinstance(it, (int, float)) and math.isfinite(it)]
    return tuple(map(float, numbers)) if len(numbers) == ndim else (0.0,) * ndim


def metadata_in(image: OmeImage, number: int = 0) -> Metadata:
    """Give what an image says of one of its levels, its axes in the order in which they are stored.

    Steps of 1 in no unit are what is written where nothing is known. What `Metadata` has no field
    for is among its attributes: `omero`, `image-label`, and a `translation` other than zero.
    """
    level = image.levels[number]
    units = image.units if any(image.units) else ()
    scale = level.scale if units or any(step != 1 for step in image.levels[0].scale) else ()
    attributes: dict[str, Json] = dict(image.others)
    if image.omero is not None:
        attributes["omero"] = image.omero
    if image.label:
        attributes["image-label"] = image.label
    if any(level.translation):
        attributes["translation"] = list(level.translation)
    return Metadata(
        axes=image.axes,
        scale=scale,
        unit=units,
        channel_names=channel_labels(image.omero),
        attributes=attributes,
    )


def agreed(noted: Metadata, axes: ImageAxes, shape: tuple[int, ...], found: OmeImage) -> Metadata:
    """Give our notes of an image, with what another program has changed in it since.

    `found` is what the image says now, `shape` that of its array.
    """
    form = Form(found.version, "mean", (found.levels[0].path,))
    wrote = described(noted, axes, shape, form)
    ours, theirs = metadata_in(wrote), metadata_in(found)
    back = inverse(axes.order)
    known = noted if noted.axes else evolve(noted, axes=axes.said)
    if ours.scale != theirs.scale:
        known = evolve(known, scale=permuted(theirs.scale, back) if theirs.scale else ())
    if ours.unit != theirs.unit:
        known = evolve(known, unit=permuted(theirs.unit, back) if theirs.unit else ())
    channel = channel_axis(axes.names)
    count = 1 if channel is None else shape[channel]
    given = given_omero(noted.attributes.get("omero"), count, noted.channel_names)
    names = noted.channel_names if len(noted.channel_names) == count else ()
    if given is not None:
        names = channel_labels(_unversioned(given))
    names = names if any(names) else ()  # an empty label is not written
    if found.omero is not None and names != theirs.channel_names:
        known = evolve(known, channel_names=theirs.channel_names)
    new = dict(found.others)
    if given is not None and found.omero is not None and _unversioned(given) != found.omero:
        new["omero"] = found.omero
    if found.label is not None and _label_changed(noted, found.label):
        new["image-label"] = found.label
    if wrote.levels[0].translation != found.levels[0].translation:
        new["translation"] = list(permuted(found.levels[0].translation, back))
    return evolve(known, attributes={**known.attributes, **new}) if new else known


def _unversioned(words: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in words.items() if name != "version"}


def _label_changed(noted: Metadata, found: Mapping[str, Json]) -> bool:
    """Whether a label image says more than we wrote, which is what it was given and its source."""
    given = noted.attributes.get("image-label")
    before = _unversioned(given) if isinstance(given, Mapping) else {}
    now = dict(found)
    for words in (before, now):
        words.pop("source", None)
    return before != now
