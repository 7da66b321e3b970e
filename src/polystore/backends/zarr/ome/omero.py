"""How the channels of an image are shown: the `omero` of its metadata.

OMERO's own settings, as OME-Zarr keeps them: for each channel a colour, a window of intensities and
perhaps a label (0.4 and 0.5, under "omero").
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polystore.core.payload import HostArray, Json

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Sampler", "channel_labels", "colours", "given_omero", "omero_json"]

_COLOURS = ("FF0000", "00FF00", "0000FF", "00FFFF", "FF00FF", "FFFF00", "FFFFFF")
"""Red, green and blue, as Bio-Formats has them, then their mixtures; from the front again after."""

_WHITE = "FFFFFF"

_SAMPLES = 2**20
"""Pixels of which the windows are made, of all channels together: the quantiles of a quarter of a
million are those of the image to within a fiftieth of a percent of its pixels."""

_LOW, _HIGH = 0.001, 0.999
"""The quantiles between which a channel is shown: what is beyond is noise and hot pixels."""

_COLOUR = re.compile("[0-9A-Fa-f]{6}")


def colours(count: int) -> tuple[str, ...]:
    """Give the colours of so many channels: white for one.

    >>> colours(1), colours(3)
    (('FFFFFF',), ('FF0000', '00FF00', '0000FF'))
    """
    if count == 1:
        return (_WHITE,)
    return tuple(_COLOURS[number % len(_COLOURS)] for number in range(count))


class Sampler:
    """Pixels of an image, evenly taken from what is added block by block, by several threads.

    >>> import numpy as np
    >>> sampler = Sampler((2, 1000), channel_axis=0)
    >>> sampler.add(np.arange(2000).reshape(2, 1000), (0, 0))
    >>> sampler.windows()
    [(1.0, 998.0), (1001.0, 1998.0)]
    """

    def __init__(self, shape: Sequence[int], channel_axis: int | None) -> None:
        self._axis = channel_axis
        self._count = 1 if channel_axis is None else shape[channel_axis]
        self._step = max(1, math.prod(shape) // _SAMPLES)
        self._lock = threading.Lock()
        self._parts: list[list[tuple[tuple[int, ...], HostArray]]] = [[] for _ in self.channels]

    @property
    def channels(self) -> range:
        """The numbers of the channels."""
        return range(self._count)

    def add(self, block: HostArray, start: tuple[int, ...]) -> None:
        """Take pixels of a block that begins at a place; of each block the same ones every time."""
        first = 0 if self._axis is None else start[self._axis]
        parts = [block] if self._axis is None else list(_unstacked(block, self._axis))
        for number, part in enumerate(parts, first):
            taken = part.reshape(-1)[:: self._step]
            with self._lock:
                self._parts[number].append((start, taken.copy()))

    def windows(self) -> list[tuple[float, float]]:
        """Give for each channel the intensities between which it is shown, NaN for none."""
        return [self._window([part for _, part in sorted_parts(parts)]) for parts in self._parts]

    @staticmethod
    def _window(parts: list[HostArray]) -> tuple[float, float]:
        import numpy as np

        pixels = np.concatenate(parts) if parts else np.empty(0)
        if pixels.dtype.kind == "f":
            pixels = pixels[np.isfinite(pixels)].astype(np.float64)
        if pixels.dtype.kind == "b":
            return 0.0, 1.0
        if pixels.size == 0:
            return math.nan, math.nan
        low, high = np.quantile(pixels, (_LOW, _HIGH), method="nearest")
        return float(low), float(high)


def sorted_parts(
    parts: list[tuple[tuple[int, ...], HostArray]],
) -> list[tuple[tuple[int, ...], HostArray]]:
    """Give parts in the order of their places, in which no thread has a say."""
    return sorted(parts, key=lambda part: part[0])


def _unstacked(block: HostArray, axis: int) -> list[HostArray]:
    import numpy as np

    return list(np.moveaxis(block, axis, 0))


def omero_json(
    windows: Sequence[tuple[float, float]],
    dtype: np.dtype[Any],
    names: Sequence[str],
    planes: int,
) -> dict[str, Json]:
    """Give how channels of these windows are shown; `planes` is how many there are along z.

    >>> import numpy as np
    >>> omero_json([(1.0, 9.0)], np.dtype("u1"), ["DAPI"], 5)["channels"][0]["window"]
    {'min': 0, 'max': 255, 'start': 1, 'end': 9}
    """
    count = len(windows)
    labels = names if len(names) == count else [""] * count
    channels: list[Json] = []
    shown = zip(windows, colours(count), labels, strict=True)
    for (low, high), colour, label in shown:
        channel: dict[str, Json] = {"label": label} if label else {}
        window = _window_json(low, high, dtype)
        channels.append({**channel, "color": colour, "active": True, "window": window})
    model = "greyscale" if count == 1 else "color"
    rdefs: dict[str, Json] = {"model": model, "defaultT": 0, "defaultZ": planes // 2}
    return {"channels": channels, "rdefs": rdefs}


def _window_json(low: float, high: float, dtype: np.dtype[Any]) -> dict[str, Json]:
    import numpy as np

    if math.isnan(low):
        low, high = 0.0, 1.0
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        least, most = int(limits.min), int(limits.max)
        start = min(max(int(low), least), most)
        return {"min": least, "max": most, "start": start, "end": min(int(high), most)}
    if dtype.kind == "b":
        return {"min": 0, "max": 1, "start": 0, "end": 1}
    end = high if high > low else low + 1.0
    return {"min": low, "max": end, "start": low, "end": end}


def given_omero(value: Json, count: int, names: Sequence[str]) -> Mapping[str, Json] | None:
    """Give display settings that were read from an image, if they fit so many channels.

    Channels are called as `names` says, where it says so.

    >>> given_omero({"channels": []}, 1, ()) is None
    True
    """
    channels = value.get("channels") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(channels, list) or len(channels) != count:
        return None
    if not all(map(_is_channel, channels)):
        return None
    if len(names) != count:
        return value
    named: list[Json] = [
        {**channel, "label": name}
        for channel, name in zip(channels, names, strict=True)
        if isinstance(channel, Mapping)
    ]
    return {**value, "channels": named}


def _is_channel(value: Json) -> bool:
    """Whether it has what every reader asks of a channel: a colour and a whole window."""
    if not isinstance(value, Mapping):
        return False
    colour, window = value.get("color"), value.get("window")
    if not isinstance(colour, str) or not _COLOUR.fullmatch(colour):
        return False
    return isinstance(window, Mapping) and all(
        isinstance(window.get(name), (int, float)) for name in ("min", "max", "start", "end")
    )


def channel_labels(omero: Mapping[str, Json] | None) -> tuple[str, ...]:
    """Give what the channels are called: none, or one for each (`""` for one without a label).

    >>> channel_labels({"channels": [{"label": "DAPI"}, {"color": "00FF00"}]})
    ('DAPI', '')
    """
    channels = omero.get("channels") if omero is not None else None
    if not isinstance(channels, list):
        return ()
    labels = [channel.get("label") for channel in channels if isinstance(channel, Mapping)]
    if len(labels) != len(channels) or not any(isinstance(label, str) for label in labels):
        return ()
    return tuple(label if isinstance(label, str) else "" for label in labels)
