"""A plane that is to be saved, and what its field says once it has come."""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import evolve, frozen

from polystore.backends.zarr.notes import OURS
from polystore.backends.zarr.ome.metadata import OmeImage, image_json
from polystore.backends.zarr.ome.omero import Sampler, omero_json
from polystore.backends.zarr.plates.names import channel_names
from polystore.backends.zarr.plates.noted import PLANES, Noted, PlanePlace
from polystore.backends.zarr.tree import ZarrStore
from polystore.configs import PlateNames
from polystore.core.item import Metadata
from polystore.core.key import Key
from polystore.core.payload import HostArray, Json

__all__ = ["NewPlane", "attributes_with"]


@frozen
class NewPlane:
    """A plane to be saved: `levels` are its resolutions, `place` is along the axes but y and x."""

    store: ZarrStore
    names: PlateNames
    key: Key
    field: Key
    axes: tuple[str, ...]
    place: PlanePlace
    levels: tuple[HostArray, ...]
    metadata: Metadata
    notes: Mapping[str, Json]

    @property
    def channel(self) -> int:
        """Which channel it is of."""
        return self.place[self.axes.index("c")] if "c" in self.axes else 0


def attributes_with(
    new: NewPlane, image: OmeImage, noted: Noted, shape: tuple[int, ...]
) -> dict[str, Json]:
    """Give the attributes of the field with the plane noted, and its channel shown."""
    ours = image.others.get(OURS)
    before: Mapping[str, Json] = ours if isinstance(ours, Mapping) else {}
    notes: dict[str, Json] = {"version": 1, "dense": True, "metadata": {}, "history": [], **before}
    notes[PLANES] = noted.added(new.place, new.notes).json()
    omero = _omero(new, image, noted, shape)
    return image_json(evolve(image, omero=omero, others={**image.others, OURS: notes}))


def _omero(
    new: NewPlane, image: OmeImage, noted: Noted, shape: tuple[int, ...]
) -> Mapping[str, Json]:
    """Give how the channels are shown: a channel's window is that of the first plane it had."""
    axis = new.axes.index("c") if "c" in new.axes else None
    count = 1 if axis is None else shape[axis]
    seen = {0 if axis is None else place[axis] for place in noted.saved}
    windows = [(math.nan, math.nan)] * count
    sampler = Sampler(new.levels[-1].shape, None)
    sampler.add(new.levels[-1], (0, 0))
    windows[new.channel] = sampler.windows()[0]
    known = _channels(image)
    labels = list(channel_names(new.names, count)) if axis is not None else [""]
    own = new.metadata.channel_names
    labels[new.channel] = own[0] if len(own) == 1 and own[0] else labels[new.channel]
    depth = shape[new.axes.index("z")] if "z" in new.axes else 1
    omero = omero_json(windows, new.levels[0].dtype, labels, depth)
    made = omero["channels"]
    channels: list[Json] = [
        known[number] if number in seen and number < len(known) else channel
        for number, channel in enumerate(made if isinstance(made, list) else [])
    ]
    return {**(image.omero or {}), **omero, "channels": channels}


def _channels(image: OmeImage) -> list[Json]:
    known = (image.omero or {}).get("channels")
    return list(known) if isinstance(known, list) else []
