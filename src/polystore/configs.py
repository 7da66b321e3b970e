"""Every config, file format and option: frozen values that name stores and say how to write.

A config is an address: hashable, picklable, and to JSON and back with `to_spec` and `from_spec`. It
holds nothing that is open.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from operator import index
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Generic,
    Literal,
    Never,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    cast,
)

from attrs import field, frozen

from polystore.core.payload import Array, HostArray, Json, LazyArray, Payload
from polystore.core.records import FileFormat, Limits, Place, Source, Store

if TYPE_CHECKING:
    from polystore.core.rois import Rois
    from polystore.core.table import Table

__all__ = [
    "BMP",
    "CSV",
    "CUPY_ARRAY",
    "IMAGE_FORMATS",
    "JAX_ARRAY",
    "JPEG",
    "JSON",
    "NPY",
    "NPZ",
    "OME_TIFF",
    "PNG",
    "PT",
    "ROI",
    "SAFETENSORS",
    "TEXT",
    "TF",
    "TIFF",
    "DiskConfig",
    "JpegOptions",
    "MemoryConfig",
    "NpzOptions",
    "PayloadKind",
    "PngOptions",
    "ReadOnlyConfig",
    "Route",
    "RouteConfig",
    "TiffOptions",
    "VirtualConfig",
    "VirtualItem",
    "ZarrConfig",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


def _absolute(root: str | os.PathLike[str]) -> str:
    # A Path expands no `~` of a user whom it does not know: it raises; a shell keeps it.
    return str(Path(os.path.expanduser(root)).absolute())  # noqa: PTH111 - see above


def _pairs(
    items: Mapping[str, VirtualItem]
    | tuple[tuple[str, VirtualItem], ...]
    | Callable[[str], VirtualItem | None],
) -> tuple[tuple[str, VirtualItem], ...] | Callable[[str], VirtualItem | None]:
    if callable(items) or isinstance(items, tuple):
        return items
    return tuple(items.items())


def _routes(routes: Iterable[Route]) -> tuple[Route, ...]:
    return tuple(routes)


_IndexPart: TypeAlias = "SupportsIndex | slice | tuple[SupportsIndex, SupportsIndex]"


def _indices(parts: Iterable[_IndexPart] | _IndexPart) -> tuple[int | tuple[int, int], ...]:
    if isinstance(parts, slice) or not isinstance(parts, Iterable):
        return (_plain_index(parts),)
    return tuple(map(_plain_index, parts))


def _plain_index(part: _IndexPart) -> int | tuple[int, int]:
    """Give Python's own numbers for NumPy's, and a pair for a slice."""
    if isinstance(part, slice):
        return _pair(part)
    if isinstance(part, tuple):
        if len(cast("tuple[object, ...]", part)) != 2:
            raise _no_index(part)
        return _number(part[0]), _number(part[1])
    return _number(part)


def _pair(part: slice) -> tuple[int, int]:
    start, stop, step = cast("tuple[object, object, object]", (part.start, part.stop, part.step))
    if step not in (None, 1):
        raise TypeError(f"{part!r} is no index of a VirtualItem: its step must be 1")
    if stop is None:
        raise TypeError(f"{part!r} is no index of a VirtualItem: say where it ends")
    return 0 if start is None else _number(start), _number(stop)


def _number(value: object) -> int:
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        return index(value)
    raise _no_index(value)


def _no_index(part: object) -> TypeError:
    must = "each part is a number, a pair of numbers (start, stop), or a slice of step 1"
    return TypeError(f"{part!r} is no index of a VirtualItem: {must}")


Durability: TypeAlias = Literal["atomic", "fsync"]
"""What a save on disk promises beyond being whole to readers: nothing, or to outlast a crash."""


@frozen
class DiskConfig(Store[Payload, Payload]):
    """Files in a folder.

    `root` is made absolute when the config is made, so that it means the same folder in every
    process and after a `chdir`; a leading `~` is the home folder, as in a shell. It need not exist.
    `durability="fsync"` also orders data, rename and directory to the disk before a save returns;
    the default promises that a reader, or a killed process, never leaves or sees half a file.
    `max_bytes` is the most that one decoded file may take (`TooLarge` beyond it; 16 GiB).

    Nothing is read or written outside of the root, through a link either; but links may lead to the
    roots of the stores in `links_to`, as those of `mirror` and `create_symlink` do.

    >>> DiskConfig(root="/data/plate").root
    '/data/plate'
    >>> view = DiskConfig(root="/data/view", links_to=(DiskConfig(root="/data/plate"),))
    """

    root: str = field(converter=_absolute)
    durability: Durability = "atomic"
    max_bytes: int = Limits().max_bytes
    links_to: tuple[DiskConfig, ...] = ()


@frozen
class ZarrConfig(Store[HostArray, Array | LazyArray]):
    """Zarr v3 in a folder: one array per key. Any Zarr reader opens what is written.

    `root` is as in `DiskConfig`, a leading `~` too; `max_bytes` likewise. What holds no array
    (JSON, tables) cannot be saved here, and a type checker says so.

    >>> ZarrConfig(root="/data/plate.zarr").root
    '/data/plate.zarr'
    """

    root: str = field(converter=_absolute)
    max_bytes: int = Limits().max_bytes


@frozen
class MemoryConfig(Store[Payload, Payload]):
    """A store in the memory of this process, found by its name.

    Two configs of one name are the same store. Its content goes when its handle is closed.

    >>> MemoryConfig(name="scratch")
    MemoryConfig(name='scratch')
    """

    name: str = "default"


PayloadKind: TypeAlias = Literal["array", "arrays", "json", "text", "table", "rois"]
"""What a payload is: an array (lazy ones too), arrays by names, JSON, text, a table, regions."""


@frozen
class Route:
    """One way of a `RouteConfig`: what is of one of the kinds, and has one of the suffixes.

    An empty tuple asks for nothing. Suffixes are compared case-blind.
    """

    store: Store[object, Never]
    kinds: tuple[PayloadKind, ...] = ()
    suffixes: tuple[str, ...] = ()


@frozen
class RouteConfig(Store[Payload, Payload]):
    """A store made of others: each item goes to the first route that takes it.

    What no route takes is `UnsupportedPayload`. A load looks through the routes, in their order, as
    far as the suffix of the key allows. A key is one item in all the stores: `if_exists` sees what
    each of them holds. (Two writers that save at the same time what goes to different stores can
    both win; `locked` keeps them apart.) No store may lie within another.

    >>> plate = RouteConfig(
    ...     routes=(
    ...         Route(ZarrConfig(root="/data/plate.zarr"), kinds=("array",)),
    ...         Route(DiskConfig(root="/data/plate")),
    ...     )
    ... )
    """

    routes: tuple[Route, ...] = field(converter=_routes)


@frozen
class ReadOnlyConfig(Source[T_co], Generic[T_co]):
    """Another store, to be read and never changed: saving to it is `ReadOnly`.

    >>> raw = ReadOnlyConfig(DiskConfig(root="/data/plate"))
    """

    inner: Source[T_co]


VirtualIndex: TypeAlias = tuple[int | tuple[int, int], ...]
"""What is taken of an array, axis by axis: a number takes one element and removes the axis, a pair
keeps the part from its first number up to its second. Axes that are not named are kept."""


@frozen
class VirtualItem:
    """Where a virtual item comes from: the item at a place, or what an index takes of its array.

    `index` has a part for each axis, from the first on: a number takes one element and removes the
    axis, a pair `(start, stop)` keeps from `start` up to, but not with, `stop`. A slice of step 1
    that says where it ends is a pair too, and one part may stand alone. `TypeError` for what is no
    index; whether it fits the array is seen when the item is read (`InvalidSpec`).

    >>> stack = Place(DiskConfig(root="/data"), "stack.tif")
    >>> VirtualItem(stack, (3, (0, 512))).index
    (3, (0, 512))
    >>> VirtualItem(stack, (3, slice(512))) == VirtualItem(stack, (3, (0, 512)))
    True
    >>> VirtualItem(stack, 3).index
    (3,)
    """

    place: Place
    index: VirtualIndex = field(default=(), converter=_indices)


@frozen(cache_hash=True)
class VirtualConfig(Source[HostArray]):
    """Items that exist under other keys, whole or as parts of arrays: to be read only.

    `items` maps each key to where it comes from. Or it is a function of the key, which gives `None`
    for what is no key: then `keys` says what a listing shows, and the function must be one of a
    module, for the config to pickle.

    >>> stack = DiskConfig(root="/data")
    >>> plate = VirtualConfig(
    ...     {f"t{t}.npy": VirtualItem(Place(stack, "stack.tif"), (t,)) for t in range(3)}
    ... )
    """

    items: tuple[tuple[str, VirtualItem], ...] | Callable[[str], VirtualItem | None] = field(
        converter=_pairs
    )
    keys: tuple[str, ...] = ()

    def only(self, key: str) -> VirtualConfig:
        """Give the config of one key alone: what the history of an item says, in few words.

        >>> stack = DiskConfig(root="/data")
        >>> views = VirtualConfig({name: VirtualItem(Place(stack, "s.tif")) for name in ("a", "b")})
        >>> [key for key, _ in views.only("b").items]
        ['b']
        """
        if callable(self.items):
            return VirtualConfig(self.items, (key,))
        found = self._by_key.get(key)
        return VirtualConfig(() if found is None else ((key, found),))

    @cached_property
    def _by_key(self) -> Mapping[str, VirtualItem]:
        return {} if callable(self.items) else dict(self.items)


NPY: FileFormat[HostArray] = FileFormat("npy", (".npy",))
"""NumPy's own format: one array of any dtype without Python objects."""

JAX_ARRAY: FileFormat[Array] = FileFormat("jax", (".jax",))
"""The content of a `.npy`, bfloat16 and float8 too; a load gives a `jax.Array`."""

CUPY_ARRAY: FileFormat[Array] = FileFormat("cupy", (".cupy",))
"""The content of a `.npy`, bfloat16 and float8 too; a load gives a `cupy.ndarray`."""

NPZ: FileFormat[Mapping[str, HostArray]] = FileFormat("npz", (".npz",))
"""NumPy's archive: arrays by their names."""

TIFF: FileFormat[HostArray] = FileFormat("tiff", (".tif", ".tiff"))
"""TIFF, ImageJ's too: one array, of a type that TIFF can hold, and its metadata."""

OME_TIFF: FileFormat[HostArray] = FileFormat("ome-tiff", (".ome.tif", ".ome.tiff"))
"""TIFF with OME-XML: one array, and its metadata."""

PNG: FileFormat[HostArray] = FileFormat("png", (".png",))
"""PNG: an 8- or 16-bit image."""

JPEG: FileFormat[HostArray] = FileFormat("jpeg", (".jpg", ".jpeg"))
"""JPEG: an 8-bit image, whose values change when it is saved."""

BMP: FileFormat[HostArray] = FileFormat("bmp", (".bmp",))
"""BMP: an 8-bit image."""

PT: FileFormat[Array | Mapping[str, Array]] = FileFormat("pt", (".pt", ".pth"))
"""PyTorch's format: a tensor, or tensors by their names."""

SAFETENSORS: FileFormat[Mapping[str, HostArray]] = FileFormat("safetensors", (".safetensors",))
"""safetensors: arrays by their names, bfloat16 and float8 too."""

TF: FileFormat[Array] = FileFormat("tf", (".tf",))
"""TensorFlow's serialised tensor; a load gives a `tf.Tensor`."""

CSV: FileFormat[Table] = FileFormat("csv", (".csv",))
"""CSV: a table with typed columns, which a spreadsheet opens too."""

JSON: FileFormat[Json] = FileFormat("json", (".json",))
"""JSON, as UTF-8."""

TEXT: FileFormat[str] = FileFormat("text", (".txt", ".md", ".log"))
"""Text, as UTF-8."""

ROI: FileFormat[Rois] = FileFormat("roi", (".roi", ".roi.zip"))
"""ImageJ's regions of interest: one, or an archive of several."""


IMAGE_FORMATS: tuple[FileFormat[HostArray], ...] = (TIFF, OME_TIFF, PNG, JPEG, BMP)
"""The formats of images: what `list_image_files` lists."""


@frozen
class TiffOptions:
    """How a TIFF is written: `compression` and, for it, `level` (`None`: the library's default).

    `kind` is of a `.tif` alone. `"auto"` writes what ImageJ takes for its own where the array is a
    hyperstack of ImageJ's and something is known of it that ImageJ can be told, and a plain TIFF
    elsewhere; `"imagej"` refuses what ImageJ cannot hold; `"plain"` tells ImageJ nothing.

    >>> TiffOptions(compression="zstd", level=3)
    TiffOptions(compression='zstd', level=3, kind='auto')
    """

    compression: Literal["none", "deflate", "lzw", "packbits", "zstd"] = "none"
    level: int | None = None
    kind: Literal["auto", "imagej", "plain"] = "auto"


@frozen
class PngOptions:
    """How a PNG is written: `level` 0 (fast) to 9 (small); the pixels are the same.

    >>> PngOptions(level=9)
    PngOptions(level=9)
    """

    level: int = 1


Subsampling: TypeAlias = Literal["4:4:4", "4:2:2", "4:2:0"]
"""How many pixels of a JPEG share a color: one, two side by side, or four in a square."""


@frozen
class JpegOptions:
    """How a JPEG is written. Giving one says that values may change.

    `quality` is 1 (small) to 100 (values change by a few at most), libjpeg's own scale.
    `subsampling` is of colors alone (gray has none): "4:2:0" is what nearly every program writes;
    "4:4:4" keeps them as sharp as the brightness.

    >>> JpegOptions(quality=95)
    JpegOptions(quality=95, subsampling='4:2:0')
    """

    quality: int
    subsampling: Subsampling = "4:2:0"


@frozen
class NpzOptions:
    """How a `.npz` is written: `compression` of its arrays; their bits are the same."""

    compression: Literal["none", "deflate"] = "none"
