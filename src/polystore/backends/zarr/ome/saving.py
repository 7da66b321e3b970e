"""Writing an OME-Zarr image into the files of a new node: its resolutions, then its metadata."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from attrs import evolve, field, frozen

from polystore.backends.zarr.notes import OURS, notes_of
from polystore.backends.zarr.ome.axes import (
    ImageAxes,
    dtype_problem,
    image_axes,
    lazy_transposed,
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
from polystore.backends.zarr.tree import Files
from polystore.configs import ZarrConfig
from polystore.core.errors import UnsupportedPayload
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import ArraySpec, HostArray, Json, LazyArray, Payload, is_host_array
from polystore.core.records import Context

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TRANSPOSED", "LabelOf", "NewImage", "dataset_paths", "group_documents", "new_image"]

TRANSPOSED = "transposed"
"""In our notes: which axis of the item each stored axis is, where their orders differ."""

_MANY_CHANNELS = 1024
"""Beyond it, channels are spectra or the like: nobody gives each of them a colour."""


@frozen
class LabelOf:
    """The image that a label image belongs to, and how many resolutions that has.

    Readers want as many of each of its labels (`ome-zarr-models` refuses others).
    """

    levels: int
    image: str = "../../"


def dataset_paths(count: int, generation: str = "") -> tuple[str, ...]:
    """Give the paths of so many resolutions; another generation of an image has others.

    >>> dataset_paths(2), dataset_paths(2, "b3f2")
    (('0', '1'), ('0.b3f2', '1.b3f2'))
    """
    end = f".{generation}" if generation else ""
    return tuple(f"{number}{end}" for number in range(count))


@frozen
class NewImage:
    """An image that is ready to be written: all that can be known to be wrong was looked for.

    `dropped` names the metadata that cannot be kept. `fill(files)` writes the image: its metadata
    last, and its arrays at paths of their own where the node has an image already, so that one new
    `zarr.json` replaces it. Raises `OSError`.
    """

    source: HostArray | LazyArray
    axes: ImageAxes
    image: OmeImage
    levels: tuple[PlannedLevel, ...]
    how: Downsampling
    notes: Mapping[str, Json] = field(hash=False)
    dropped: tuple[str, ...]
    item: Item[Payload]

    @property
    def nbytes(self) -> int:
        """The bytes of its pixels, at full resolution."""
        meta = self.levels[0].plan.meta
        nbytes: int = meta.dtype.itemsize
        for length in meta.grid.shape:
            nbytes *= length
        return nbytes

    def fill(self, files: Files) -> Outcome[None]:
        """Write the levels, then the metadata of the image."""
        zarr_format = self.levels[0].plan.meta.documents.zarr_format
        generation = uuid.uuid4().hex[:8] if _is_taken(files, zarr_format) else ""
        paths = dataset_paths(len(self.levels), generation)
        levels = [evolve(level, path=path) for level, path in zip(self.levels, paths, strict=True)]
        sampler = None if self.image.label is not None else self._sampler()
        written = write_levels(files, levels, self.source, self.how, sampler)
        if not is_successful(written):
            return written
        for level in levels:
            write_documents(files, level.below, level.plan.documents)
        places = zip(self.image.levels, paths, strict=True)
        omero = None if sampler is None else self._omero(sampler)
        image = evolve(
            self.image,
            levels=tuple(evolve(level, path=path) for level, path in places),
            omero=omero,
            others={OURS: self.notes},
        )
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
        metadata, meta = self.item.metadata, self.levels[0].plan.meta
        count, names = len(sampler.channels), metadata.channel_names
        given = given_omero(metadata.attributes.get("omero"), count, names)
        if given is not None:
            return given
        depth = meta.grid.shape[self.axes.names.index("z")] if "z" in self.axes.names else 1
        return omero_json(sampler.windows(), meta.dtype, names, depth)


def _is_taken(files: Files, zarr_format: Literal[2, 3]) -> bool:
    found = files.open("zarr.json" if zarr_format == 3 else ".zgroup")
    if found is not None:
        found.close()
    return found is not None


def group_documents(attributes: Mapping[str, Json], zarr_format: Literal[2, 3]) -> dict[str, bytes]:
    """Give the metadata files of a group with these attributes.

    >>> list(group_documents({}, 2))
    ['.zattrs', '.zgroup']
    """
    if zarr_format == 3:
        document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        return {"zarr.json": _json(document)}
    return {".zattrs": _json(attributes), ".zgroup": _json({"zarr_format": 2})}


def _json(document: Mapping[str, Json]) -> bytes:
    return json.dumps(document, indent=2, allow_nan=False).encode()


def new_image(
    item: Item[Payload], config: ZarrConfig, context: Context, label: LabelOf | None = None
) -> Outcome[NewImage]:
    """Give an image to be written of an item, whose array may be lazy, or of any framework.

    `UnsupportedPayload` for what OME-Zarr cannot hold, `InvalidSpec` for chunks that do not fit.
    With `label` it is a label image: of integers, halved by `"nearest"`.
    """
    source = _source(item, context)
    if not is_successful(source):
        return Failure(source.failure())
    array = source.unwrap()
    dtype = _dtype(array)
    shape = array.spec.shape if isinstance(array, LazyArray) else array.shape
    refused = dtype_problem(dtype, shape) or (None if label is None else _no_label(dtype))
    if refused is not None:
        return Failure(refused)
    lazy_axes = array.spec.axes if isinstance(array, LazyArray) else ()
    axes = image_axes(len(shape), item.metadata.axes or lazy_axes, config.ome.axes)
    return and_then(axes, lambda it: _new_image(item, array, it, config, context, label))


def _source(item: Item[Payload], context: Context) -> Outcome[HostArray | LazyArray]:
    if isinstance(item.payload, LazyArray):
        return Success(item.payload)
    return and_then(context.to_host(item), lambda it: _one_array(it.payload))


def _one_array(payload: Payload) -> Outcome[HostArray | LazyArray]:
    if is_host_array(payload):
        return Success(payload)
    message = f"An OME-Zarr image is one array, and a {type(payload).__name__} is none."
    advice = "Make it one array, save its arrays one by one, or save it to another store."
    return Failure(UnsupportedPayload("", None, message, advice))


def _dtype(array: HostArray | LazyArray) -> np.dtype[Any]:
    import numpy as np

    return np.dtype(array.spec.dtype) if isinstance(array, LazyArray) else array.dtype


def _no_label(dtype: np.dtype[Any]) -> UnsupportedPayload | None:
    if dtype.kind in "iu":
        return None
    message = f"A label image holds integers, and these are {dtype}."
    advice = 'Number the objects, or save a mask as integers: mask.astype("uint8").'
    return UnsupportedPayload("", None, message, advice)


def _new_image(  # noqa: PLR0913 - each of them was looked at on its own
    item: Item[Payload],
    array: HostArray | LazyArray,
    axes: ImageAxes,
    config: ZarrConfig,
    context: Context,
    label: LabelOf | None,
) -> Outcome[NewImage]:
    if isinstance(array, LazyArray):
        source: HostArray | LazyArray = lazy_transposed(array, axes.order, axes.names)
        spec = lazy_transposed(array, axes.order, axes.names).spec
    else:
        source = array.transpose(axes.order)
        spec = ArraySpec(source.shape, str(array.dtype), axes.names, source.shape)
    how: Downsampling = config.ome.downsampling if label is None else "nearest"
    wanted = config.ome.levels if label is None else label.levels
    paths = dataset_paths(level_count(spec.shape, wanted))
    form = Form(config.ome.version, how, paths, item.key.rpartition("/")[2])
    notes, dropped = notes_of(item, context.to_spec)
    moved: dict[str, Json] = {TRANSPOSED: list(axes.order)} if axes.is_moved else {}
    image = described(item.metadata, axes, spec.shape, form)
    if label is not None:
        given = item.metadata.attributes.get("image-label")
        source_of: dict[str, Json] = {"source": {"image": label.image}}
        image = evolve(image, label={**(given if isinstance(given, Mapping) else {}), **source_of})
    levels = plan_levels(spec, _dtype(array), config, paths)
    return levels.map(
        lambda it: NewImage(source, axes, image, it, how, {**notes, **moved}, dropped, item)
    )
