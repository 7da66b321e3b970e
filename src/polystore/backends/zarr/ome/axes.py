"""The axes of an OME-Zarr image, and of an item in their order.

OME-Zarr wants two to five axes in one order: t, then channels or one other axis, then z, y, x
(the specification, 0.4 and 0.5, under "axes"). An item in another order is transposed for storage;
`order` says how, so that a load gives back what was saved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from attrs import frozen

from polystore.core.errors import UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.payload import ArraySpec, HostArray, LazyArray, Region

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

T = TypeVar("T")

__all__ = [
    "AXES_MAX",
    "CHANNELS",
    "ImageAxes",
    "axis_type",
    "dtype_problem",
    "image_axes",
    "inverse",
    "lazy_transposed",
    "permuted",
]

AXES_MAX = 5

CHANNELS = ("c", "s")
"""Names of a channel axis: channels, or the samples of a pixel, as in RGB. Stored as `c`."""

_SPACE = ("z", "y", "x")
_LAST = {"t": 0, "z": 2, "y": 3, "x": 4}
_OTHER = 1
"""Where an axis stands among the five; what is not named here is channels, or the other axis."""


@frozen
class ImageAxes:
    """The names of the axes as they are stored, and which axis of the item each of them is.

    `said` are the axes in the order of the item.
    """

    names: tuple[str, ...]
    order: tuple[int, ...]
    said: tuple[str, ...]

    @property
    def is_moved(self) -> bool:
        """Whether the item is transposed for storage."""
        return self.order != tuple(range(len(self.order)))


def axis_type(name: str) -> str | None:
    """Give the type of an axis in OME-Zarr; `None` for one of another meaning.

    >>> axis_type("z"), axis_type("t"), axis_type("c"), axis_type("angle")
    ('space', 'time', 'channel', None)
    """
    if name in _SPACE:
        return "space"
    if name in CHANNELS:
        return "channel"
    return "time" if name == "t" else None


def image_axes(ndim: int, said: Sequence[str], default: Sequence[str] = ()) -> Outcome[ImageAxes]:
    """Give the axes of an image: as it says, else the default where its number fits, else y and x.

    `UnsupportedPayload` where nobody says them, or where OME-Zarr has no place for them.

    >>> image_axes(3, ("y", "x", "s")).unwrap()
    ImageAxes(names=('c', 'y', 'x'), order=(2, 0, 1), said=('y', 'x', 's'))
    >>> image_axes(3, ()).failure().message
    'An OME-Zarr image needs the names of its 3 axes.'
    """
    if not 2 <= ndim <= AXES_MAX:
        return _refused(
            f"An OME-Zarr image has 2 to {AXES_MAX} axes, and this array has {ndim}.",
            "Save it with layout=ZarrLayout.ARRAY, or split it along an axis.",
        )
    axes = tuple(said) or (tuple(default) if len(default) == ndim else ())
    if not axes and ndim == 2:
        axes = ("y", "x")
    if not axes:
        return _refused(
            f"An OME-Zarr image needs the names of its {ndim} axes.",
            'Give them: Metadata(axes=("z", "y", "x")) of the item, or OmeOptions(axes=...).',
        )
    if len(axes) != ndim:
        return _refused(
            f"The metadata names {len(axes)} axes, and the array has {ndim}.",
            "Name each axis of the array once.",
        )
    others = [name for name in axes if name not in _LAST]
    if len(set(axes)) != ndim or len(others) > 1 or not {"y", "x"} <= set(axes) or "" in axes:
        return _refused(
            f"OME-Zarr has no place for the axes {', '.join(map(repr, axes))}.",
            "It has y and x, and at most z, t and one other (c); rename or drop the rest.",
        )
    order = tuple(sorted(range(ndim), key=lambda axis: _LAST.get(axes[axis], _OTHER)))
    names = tuple("c" if axes[axis] == "s" else axes[axis] for axis in order)
    return Success(ImageAxes(names, order, axes))


def _refused(message: str, advice: str) -> Outcome[ImageAxes]:
    return Failure(UnsupportedPayload("", None, message, advice))


def dtype_problem(dtype: np.dtype[Any], shape: Sequence[int]) -> UnsupportedPayload | None:
    """Say why OME-Zarr's readers could not show the pixels; `None` if they can.

    They read booleans, integers, and floats of 16 to 64 bits.

    >>> import numpy as np
    >>> dtype_problem(np.dtype("u2"), (4, 5)) is None
    True
    >>> dtype_problem(np.dtype("c8"), (4, 5)).message
    'An OME-Zarr image holds real numbers, and complex64 is none.'
    """
    array = "Save it with layout=ZarrLayout.ARRAY, or convert it."
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or (dtype.kind, dtype.itemsize) == ("f", 1):
        message = f"An OME-Zarr image holds real numbers, and {dtype} is none."
        if dtype.kind == "f":
            message = f"An OME-Zarr image holds floats of 16 to 64 bits, not {dtype}."
        return UnsupportedPayload("", None, message, array)
    if 0 in shape:
        message = f"An OME-Zarr image has pixels, and this array, {tuple(shape)}, has none."
        return UnsupportedPayload("", None, message, array)
    return None


def inverse(order: Sequence[int]) -> tuple[int, ...]:
    """Give the order that undoes a transposition.

    >>> inverse((2, 0, 1))
    (1, 2, 0)
    """
    return tuple(order.index(axis) for axis in range(len(order)))


def permuted(values: Sequence[T], order: Sequence[int]) -> tuple[T, ...]:
    """Give the values of the axes in another order.

    >>> permuted("yxs", (2, 0, 1))
    ('s', 'y', 'x')
    """
    return tuple(values[axis] for axis in order)


def lazy_transposed(lazy: LazyArray, order: tuple[int, ...], axes: tuple[str, ...]) -> LazyArray:
    """Give a lazy array with its axes in another order, under these names.

    What it reads need not be C-ordered.
    """
    if order == tuple(range(len(order))):
        return LazyArray(_with_axes(lazy.spec, axes), lazy.read)
    spec = lazy.spec
    back = inverse(order)
    moved = ArraySpec(permuted(spec.shape, order), spec.dtype, axes, permuted(spec.blocks, order))

    def read(region: Region) -> Outcome[HostArray]:
        if len(region) != len(order):
            return lazy.read(region)  # it says what is wrong
        return lazy.read(permuted(region, back)).map(lambda array: array.transpose(order))

    return LazyArray(moved, read)


def _with_axes(spec: ArraySpec, axes: tuple[str, ...]) -> ArraySpec:
    return ArraySpec(spec.shape, spec.dtype, axes, spec.blocks)
