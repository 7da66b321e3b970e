"""An array as a picture: one plane of it, made smaller while it is read, in colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from polystore.backends.zarr.ome.omero import colours
from polystore.cli.lazily import as_lazy
from polystore.core.errors import StorageError, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, is_successful

if TYPE_CHECKING:
    from polystore.core.payload import HostArray, Json, LazyArray

__all__ = ["Channel", "Shown", "drawn", "shown_of"]

BAND_BYTES = 32 * 2**20
"""How much is read at once, unless one row of pixels of the picture needs more."""

CHANNELS_MAX = 16
"""More than these would be one gray."""

LOW, HIGH = 0.5, 99.8  # percentiles that become black and white, as on a contact sheet

COLOURS = 3  # of a pixel


@frozen
class Channel:
    """How a channel is shown: its colour, from 0 to 255, and which values are black and white."""

    colour: tuple[int, int, int] | None = None
    window: tuple[float, float] | None = None
    active: bool = True


@frozen
class Shown:
    """How an image is shown: its channels as far as it says, and which plane of it."""

    channels: tuple[Channel, ...] = ()
    z: int | None = None
    t: int | None = None


@frozen
class _Plane:
    """Which axes are y, x and c, whether c is a pixel's colours, and where the others stand."""

    y: int
    x: int
    c: int | None
    is_rgb: bool
    places: tuple[int, ...]


def shown_of(omero: Mapping[str, Json] | None) -> Shown:
    """Give how an image wants to be shown, in the words of OME-Zarr; what is wrong is left out.

    >>> shown_of({"channels": [{"color": "00FF00", "window": {"start": 1, "end": 9}}]}).channels
    (Channel(colour=(0, 255, 0), window=(1.0, 9.0), active=True),)
    """
    if omero is None:
        return Shown()
    channels, defaults = omero.get("channels"), omero.get("rdefs")
    rdefs: Mapping[str, Json] = defaults if isinstance(defaults, Mapping) else {}
    places = [rdefs.get(name) for name in ("defaultZ", "defaultT")]
    z, t = (place if isinstance(place, int) and place >= 0 else None for place in places)
    listed = channels if isinstance(channels, list) else []
    return Shown(tuple(map(_channel, listed[:CHANNELS_MAX])), z, t)


def _channel(value: Json) -> Channel:
    if not isinstance(value, Mapping):
        return Channel()
    said, window = value.get("color"), value.get("window")
    colour = None
    if isinstance(said, str) and len(said) == 2 * COLOURS:
        try:
            red, green, blue = bytes.fromhex(said)
            colour = (red, green, blue)
        except ValueError:  # no colour: one is chosen
            colour = None
    start, end = (
        (window.get(name) for name in ("start", "end")) if isinstance(window, Mapping) else (0, 0)
    )
    limits = None
    if isinstance(start, (int, float)) and isinstance(end, (int, float)) and end > start:
        limits = (float(start), float(end))
    return Channel(colour, limits, value.get("active") is not False)


def drawn(payload: object, axes: Sequence[str], shown: Shown, size: int) -> Outcome[HostArray]:
    """Give RGB pixels as uint8, at most `size` a side, each the mean of those that it stands for.

    `UnsupportedPayload` for what is no picture.

    >>> import numpy as np
    >>> drawn(np.arange(100).reshape(10, 10), (), Shown(), 5).unwrap().shape
    (5, 5, 3)
    """
    array = as_lazy(payload)
    if array is None:
        return Failure(_no_picture(f"It is a {type(payload).__name__}"))
    shape, kind = array.spec.shape, _kind(array.spec.dtype)
    if kind not in "biufc" or len(shape) < 2 or 0 in shape:
        return Failure(_no_picture(f"It is an array of {kind!r} of the shape {tuple(shape)}"))
    plane = _plane(shape, axes if len(axes) == len(shape) else (), shown)
    parts: list[HostArray] = []
    count = 1 if plane.c is None else shape[plane.c]
    for number in range(min(count, CHANNELS_MAX)):
        part = _reduced(array, plane, number, size)
        if not is_successful(part):
            return Failure(part.failure())
        parts.append(part.unwrap())
    return Success(_rgb(parts) if plane.is_rgb else _composed(parts, shown.channels))


def _kind(dtype: str) -> str:
    import numpy as np

    try:
        return str(np.dtype(dtype).kind)
    except TypeError:  # bfloat16 and the like are numbers, once they are read
        return "f" if "float" in dtype else "?"


def _no_picture(what: str) -> StorageError:
    return UnsupportedPayload(
        "",
        None,
        f"{what}, and no picture.",
        "Name an image: an array of numbers with a y and an x.",
    )


def _plane(shape: Sequence[int], axes: Sequence[str], shown: Shown) -> _Plane:
    """Say which plane is shown: z in the middle, all other axes at their beginning."""
    count = len(shape)
    names = tuple(axes)
    if "y" in names and "x" in names:
        y, x = names.index("y"), names.index("x")
        c = names.index("c") if "c" in names else None
    else:
        colours_last = count > 2 and shape[-1] in (3, 4) and min(shape[-3:-1]) > 4
        c = count - 1 if colours_last else None
        y, x = (count - 3, count - 2) if colours_last else (count - 2, count - 1)
    is_rgb = c is not None and c > max(y, x) and shape[c] in (3, 4)
    places = [0] * count
    for axis, name in enumerate(names or [""] * count):
        length = shape[axis]
        middle = length // 2 if name in ("z", "") else 0
        wanted = {"z": shown.z, "t": shown.t}.get(name)
        places[axis] = middle if wanted is None else min(wanted, length - 1)
    return _Plane(y, x, c, is_rgb, tuple(places))


def _reduced(array: LazyArray, plane: _Plane, channel: int, size: int) -> Outcome[HostArray]:
    """Read one plane band by band, and give it smaller, as float64."""
    import numpy as np

    shape = array.spec.shape
    height, width = shape[plane.y], shape[plane.x]
    scale = min(1.0, size / max(height, width))
    rows, columns = (_edges(length, scale) for length in (height, width))
    step = max(1, int(BAND_BYTES * scale) // (8 * width))
    bands: list[HostArray] = []
    for first in range(0, len(rows) - 1, step):
        bounds = rows[first : first + step + 1]
        region = [slice(place, place + 1) for place in plane.places]
        region[plane.y] = slice(bounds[0], bounds[-1])
        region[plane.x] = slice(0, width)
        if plane.c is not None:
            region[plane.c] = slice(channel, channel + 1)
        band = array.read(tuple(region))
        if not is_successful(band):
            return band
        flat = np.moveaxis(band.unwrap(), (plane.y, plane.x), (-2, -1))
        flat = flat.reshape(flat.shape[-2:])
        bands.append(_binned(flat, [edge - bounds[0] for edge in bounds], columns))
    return Success(np.concatenate(bands))


def _edges(length: int, scale: float) -> list[int]:
    """Give where the pixels of the picture begin along an axis, and the end of the last.

    >>> _edges(10, 0.4)
    [0, 2, 5, 7, 10]
    """
    wanted = max(1, round(length * scale))
    return [number * length // wanted for number in range(wanted + 1)]


def _binned(band: HostArray, rows: Sequence[int], columns: Sequence[int]) -> HostArray:
    """Give the mean of the pixels between edges."""
    import numpy as np

    numbers = _numbers(band)
    for axis, edges in ((1, columns), (0, rows)):
        widths = np.diff(np.array(edges))
        sums = np.add.reduceat(numbers, np.array(edges[:-1]), axis=axis, dtype=np.float64)
        numbers = sums / (widths[:, None] if axis == 0 else widths[None, :])
    return numbers


def _numbers(band: HostArray) -> HostArray:
    """Give real numbers: of complex ones how large they are, and 0 for what is not finite."""
    import numpy as np

    if band.dtype.kind in "bui":
        return band
    with np.errstate(all="ignore"):
        values: HostArray = np.abs(band) if band.dtype.kind == "c" else band
    return np.where(np.isfinite(values), values, values.dtype.type(0))


def _rgb(parts: Sequence[HostArray]) -> HostArray:
    """Give colours as they are where they are bytes, and all in one window where not."""
    import numpy as np

    pixels = np.stack(parts[:COLOURS], axis=-1)
    low, high = (0.0, 255.0) if pixels.min() >= 0 and pixels.max() <= 255 else _window(pixels)
    return _bytes(_between(pixels, low, high))


def _composed(parts: Sequence[HostArray], channels: Sequence[Channel]) -> HostArray:
    """Give the sum of the channels, each in its colour and its window."""
    import numpy as np

    said = channels if len(channels) >= len(parts) else [Channel()] * len(parts)
    chosen = [bytes.fromhex(colour) for colour in colours(len(parts))]
    total = np.zeros((*parts[0].shape, COLOURS))
    for part, channel, own in zip(parts, said, chosen, strict=False):
        if not channel.active and len(parts) > 1:
            continue
        low, high = channel.window or _window(part)
        colour = np.array(channel.colour or tuple(own)) / 255
        total += _between(part, low, high)[..., None] * colour
    return _bytes(total)


def _window(values: HostArray) -> tuple[float, float]:
    import numpy as np

    low, high = (float(value) for value in np.percentile(values, (LOW, HIGH)))
    return (low, high) if high > low else (low, low + max(1.0, abs(low)))


def _between(values: HostArray, low: float, high: float) -> HostArray:
    """Give where values are between two, from 0 to 1; halved first, for a span may be infinite."""
    import numpy as np

    part: HostArray = (values / 2 - low / 2) / (high / 2 - low / 2)
    return np.clip(part, 0, 1)


def _bytes(values: HostArray) -> HostArray:
    import numpy as np

    pixels: HostArray = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return pixels
