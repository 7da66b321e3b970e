"""Writing an OME-Zarr image into the files of a new node: its resolutions, then its metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from polystore.backends.zarr.elements.documents import group_documents
from polystore.backends.zarr.given import dtype_of, host_or_lazy, spec_of
from polystore.backends.zarr.notes import OURS, notes_of
from polystore.backends.zarr.ome.axes import (
    ImageAxes,
    dtype_problem,
    image_axes,
    lazy_transposed,
    permuted,
)
from polystore.backends.zarr.ome.describe import Form, channel_axis, described
from polystore.backends.zarr.ome.levels import (
    PlannedLevel,
    plan_levels,
    write_documents,
    write_levels,
)
from polystore.backends.zarr.ome.metadata import OmeImage, image_json
from polystore.backends.zarr.ome.omero import Sampler, given_omero, omero_json
from polystore.backends.zarr.ome.pyramid import Downsampling, level_count
from polystore.backends.zarr.tree import Files, ZarrStore
from polystore.core.errors import UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import ArraySpec, HostArray, Json, LazyArray, Payload

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TRANSPOSED", "LabelOf", "NewImage", "dataset_paths", "new_image"]

TRANSPOSED = "transposed"
"""In our notes: which axis of the item each stored axis is, where their orders differ."""

_MANY_CHANNELS = 1024
"""Beyond it, channels are spectra or the like: nobody gives each of them a colour."""


@frozen
class LabelOf:
    """The image that a label image belongs to: how many resolutions it has, and its metadata.

    Readers want as many resolutions of each of its labels (`ome-zarr-models` refuses others). A
    label that does not say how large its pixels are has those of the image.
    """

    levels: int
    metadata: Metadata = Metadata()
    image: str = "../../"

    def sized(self, metadata: Metadata, axes: tuple[str, ...]) -> Metadata:
        """Give the metadata of a label with the pixels of the image, axis by axis.

        >>> image = Metadata(axes=("c", "y", "x"), scale=(1, 0.5, 0.25))
        >>> LabelOf(3, image).sized(Metadata(), ("y", "x")).scale
        (0.5, 0.25)
        """
        image = self.metadata
        if metadata.scale or metadata.unit or len(image.axes) != len(image.scale):
            return metadata
        scale = dict(zip(image.axes, image.scale, strict=True))
        units = image.unit or ("",) * len(image.axes)
        unit = dict(zip(image.axes, units, strict=True))
        known = evolve(metadata, scale=[scale.get(axis, 1.0) for axis in axes])
        shift = image.attributes.get("translation")
        if isinstance(shift, list) and "translation" not in metadata.attributes:
            at = dict(zip(image.axes, shift, strict=False))
            moved: list[Json] = [at.get(axis, 0.0) for axis in axes]
            known = evolve(known, attributes={**metadata.attributes, "translation": moved})
        return evolve(known, unit=[unit.get(axis, "") for axis in axes] if image.unit else ())


def dataset_paths(count: int) -> tuple[str, ...]:
    """Give the paths of so many resolutions; a tree may store them under others, as it needs.

    >>> dataset_paths(2)
    ('0', '1')
    """
    return tuple(map(str, range(count)))


@frozen
class NewImage:
    """An image that is ready to be written: all that can be known to be wrong was looked for.

    `dropped` names the metadata that cannot be kept. `fill(files)` writes the image, its metadata
    last; it raises `OSError`.
    """

    source: HostArray | LazyArray
    axes: ImageAxes
    image: OmeImage
    levels: tuple[PlannedLevel, ...]
    how: Downsampling
    notes: Mapping[str, Json] = field(hash=False)
    dropped: tuple[str, ...]
    metadata: Metadata

    @property
    def nbytes(self) -> int:
        """The bytes of its pixels, at full resolution."""
        meta = self.levels[0].plan.meta
        return math.prod(meta.grid.shape) * meta.dtype.itemsize

    def fill(self, files: Files) -> Outcome[None]:
        """Write the levels, then the metadata of the image."""
        sampler = None if self.image.label is not None else self._sampler()
        written = write_levels(files, self.levels, self.source, self.how, sampler)
        if not is_successful(written):
            return written
        for level in self.levels:
            write_documents(files, level.below, level.plan.documents)
        omero = None if sampler is None else self._omero(sampler)
        image = evolve(self.image, omero=omero, others={OURS: self.notes})
        zarr_format = self.levels[0].plan.meta.documents.zarr_format
        write_documents(files, "", group_documents(image_json(image), zarr_format))
        return Success(None)

    def _sampler(self) -> Sampler | None:
        shape = self.levels[-1].plan.meta.grid.shape
        channel = channel_axis(self.axes.names)
        if channel is not None and shape[channel] > _MANY_CHANNELS:
            return None
        return Sampler(shape, channel)

    def _omero(self, sampler: Sampler) -> Mapping[str, Json]:
        """Give the settings that came with the item, if they fit; else chosen ones."""
        metadata, meta = self.metadata, self.levels[0].plan.meta
        count, names = len(sampler.channels), metadata.channel_names
        given = given_omero(metadata.attributes.get("omero"), count, names)
        if given is not None:
            return given
        depth = meta.grid.shape[self.axes.names.index("z")] if "z" in self.axes.names else 1
        return omero_json(sampler.windows(), meta.dtype, names, depth)


def new_image(
    store: ZarrStore, item: Item[Payload], label: LabelOf | None = None
) -> Outcome[NewImage]:
    """Give an image to be written of an item, whose array may be lazy, or of any framework.

    `UnsupportedPayload` for what OME-Zarr cannot hold, `InvalidSpec` for chunks that do not fit.
    With `label` it is a label image: of integers, halved by `"nearest"`.
    """
    source = host_or_lazy(store, item)
    if not is_successful(source):
        return Failure(source.failure())
    array = source.unwrap()
    spec = spec_of(array, item.metadata.axes)
    dtype = and_then(dtype_of(array), lambda it: _image_dtype(it, spec.shape, label))
    if not is_successful(dtype):
        return Failure(dtype.failure())
    said = item.metadata.axes or (array.spec.axes if isinstance(array, LazyArray) else ())
    axes = image_axes(len(spec.shape), said, store.config.ome.axes)
    return and_then(
        axes, lambda it: _planned(store, item, _Stored(array, spec, dtype.unwrap(), it), label)
    )


def _image_dtype(
    dtype: np.dtype[Any], shape: tuple[int, ...], label: LabelOf | None
) -> Outcome[np.dtype[Any]]:
    problem = dtype_problem(dtype, shape)
    if problem is not None:
        return Failure(problem)
    if label is None or dtype.kind in "iu":
        return Success(dtype)
    message = f"A label image holds integers, and these are {dtype}."
    advice = 'Number the objects, or save a mask as integers: mask.astype("uint8").'
    return Failure(UnsupportedPayload("", None, message, advice))


@frozen
class _Stored:
    """An array, and the axes under which it is to be stored."""

    array: HostArray | LazyArray
    spec: ArraySpec
    dtype: np.dtype[Any]
    axes: ImageAxes

    @property
    def source(self) -> HostArray | LazyArray:
        """The array, its axes as they are stored."""
        order, names = self.axes.order, self.axes.names
        if isinstance(self.array, LazyArray):
            return lazy_transposed(self.array, order, names)
        return self.array.transpose(order)


def _planned(
    store: ZarrStore, item: Item[Payload], new: _Stored, label: LabelOf | None
) -> Outcome[NewImage]:
    ome, axes = store.config.ome, new.axes
    how: Downsampling = ome.downsampling if label is None else "nearest"
    shape = permuted(new.spec.shape, axes.order)
    paths = dataset_paths(level_count(shape, ome.levels if label is None else label.levels))
    form = Form(ome.version, how, paths, item.key.rpartition("/")[2])
    said = item.metadata if label is None else label.sized(item.metadata, axes.said)
    image = described(said, axes, shape, form)
    if label is not None:
        given = item.metadata.attributes.get("image-label")
        words: Mapping[str, Json] = given if isinstance(given, Mapping) else dict[str, Json]()
        image = evolve(image, label={**words, "source": {"image": label.image}})
    notes, dropped = notes_of(item, store.context.to_spec)
    if axes.is_moved:
        notes = {**notes, TRANSPOSED: list(axes.order)}
    spec = ArraySpec(shape, new.spec.dtype, axes.names, permuted(new.spec.blocks, axes.order))
    levels = plan_levels(spec, new.dtype, store.config, paths)
    return levels.map(
        lambda it: NewImage(new.source, axes, image, it, how, notes, dropped, item.metadata)
    )
