"""The config of Zarr stores, and the values that it is made of."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias, cast

from attrs import field, fields, frozen

from polystore.configs.stores import absolute
from polystore.core.payload import Array, HostArray, LazyArray, Payload
from polystore.core.records import Limits, Store

__all__ = [
    "COUNTED",
    "Blosc",
    "ChunkStrategy",
    "Compressor",
    "Gzip",
    "OmeOptions",
    "PlateNames",
    "ZarrConfig",
    "ZarrLayout",
    "Zstd",
]


class ZarrLayout(enum.Enum):
    """What stands under a key: one array, an OME-Zarr image, or a field of an OME-Zarr plate."""

    ARRAY = "array"
    IMAGE = "image"
    PLATE = "plate"


class ChunkStrategy(enum.Enum):
    """What one file of a plate's elements holds.

    `FIELD`: one plane, a field of view at one channel, z and time, so that planes can be written by
    writers of their own. `WELL`: all planes of a field of the well (of one resolution level): the
    fewest files.
    """

    FIELD = "field"
    WELL = "well"


@frozen
class Blosc:
    """Blosc: `cname` compresses what `shuffle` has sorted by bytes or bits.

    `level` is 0 (stored) to 9 (small). The default was chosen by measurement: see the benchmarks.

    >>> Blosc(cname="lz4", level=5)
    Blosc(cname='lz4', level=5, shuffle='bitshuffle')
    """

    cname: Literal["zstd", "lz4", "lz4hc", "blosclz", "zlib"] = "zstd"
    level: int = 1
    shuffle: Literal["bitshuffle", "shuffle", "none"] = "bitshuffle"


@frozen
class Zstd:
    """Zstandard alone: `level` 1 (fast) to 22 (small).

    >>> Zstd()
    Zstd(level=3)
    """

    level: int = 3


@frozen
class Gzip:
    """Gzip, which every reader knows: `level` 0 (stored) to 9 (small).

    >>> Gzip(level=9)
    Gzip(level=9)
    """

    level: int = 5


Compressor: TypeAlias = Blosc | Zstd | Gzip
"""How the bytes of a chunk are made fewer; none of them changes a value."""


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(names)


@frozen
class OmeOptions:
    """How an OME-Zarr image is written.

    - `version`: 0.5 is on Zarr v3, 0.4 on Zarr v2.
    - `axes`: those of items that do not say theirs, such as a `.npy` (`("z", "y", "x")`); two axes
      are y and x.
    - `levels`: how many resolutions, the full one counted; `None`: halved in y and x until the
      longer side is at most 256.
    - `downsampling`: `"mean"` for intensities, `"nearest"` for labels. (What is saved under
      `labels/` of an image is always `"nearest"`.)

    >>> OmeOptions(axes=("z", "y", "x"), levels=1).version
    '0.5'
    """

    version: Literal["0.5", "0.4"] = "0.5"
    axes: tuple[str, ...] = field(default=(), converter=_names)
    levels: int | None = None
    downsampling: Literal["mean", "nearest"] = "mean"


COUNTED = ("field", "channel", "z", "t")
"""What the names of a plate's files count from a first number on; rows and columns are as on it."""


def _first(
    first: int | Mapping[str, int] | tuple[tuple[str, int], ...],
) -> int | tuple[tuple[str, int], ...]:
    pairs = tuple(first.items()) if isinstance(first, Mapping) else first
    return tuple(sorted(pairs, key=repr)) if isinstance(pairs, tuple) else pairs


@frozen
class PlateNames:
    """How the files of a plate are called, both ways: a name is read by it, and made by it.

    `template` is the name of a file with `{row}`, `{column}` and, as far as the names have them,
    `{field}`, `{channel}`, `{z}` and `{t}`. A row is letters, or a number; the others are numbers.
    `{column:02}` has at least two digits. What a name says twice stands twice in the template.

    The fields, channels, z and t of the files are counted from `first`, those of the plate from 0.
    `first={"field": 0}` is for names that count one from 0, and the others from 1; it is kept as
    sorted pairs.

    >>> PlateNames("{row}{column:02}_s{field}_w{channel}.tif").first
    1
    >>> PlateNames("{row}{column:02}f{field:02}d{channel}.tif", first=0).first
    0
    >>> twice = "Channel {channel}-{column:02}-{row}-{column:02}-{field:02}.tif"
    >>> PlateNames(twice, first={"field": 0}).first
    (('field', 0),)
    """

    template: str
    first: int | tuple[tuple[str, int], ...] = field(default=1, converter=_first)


def _text(root: str | os.PathLike[str]) -> str:
    return os.fspath(root)


def _lengths(lengths: Iterable[int] | None) -> tuple[int, ...] | None:
    return None if lengths is None else tuple(lengths)


@frozen(repr=False)
class ZarrConfig(Store[HostArray, Array | LazyArray]):
    """Zarr: arrays, OME-Zarr images or OME-Zarr plates. Any Zarr reader opens what is written.

    - `root` is a folder, as in `DiskConfig`; with `store`, the config of a store of files such as
      an `ObjectConfig`, it is a folder of keys in that (`""`: all of it).
    - `layout`: `ARRAY` is one array per key. `IMAGE` is one OME-Zarr image per key, with all its
      resolutions; its labels are under `labels/` below it. `PLATE` makes the root an OME-Zarr plate
      whose keys are fields (`"A/1/0"`: row, column, field), or the names of files, with `names`.
    - `chunks` is the shape that is compressed as one, `shards` that of a file of chunks, a multiple
      of it; `None` chooses by shape, dtype and axes, and `shards=()` is a file for each chunk.
    - `compressor`: `None` compresses nothing. Each chunk has a checksum (crc32c) in any case.
    - `chunk_strategy` is of plates alone, `ome` of images and plates.
    - `max_bytes` is the most that one loaded array may take.

    What holds no array (JSON, tables) cannot be saved here, and a type checker says so.

    >>> ZarrConfig(root="/data/plate.zarr")
    ZarrConfig(root='/data/plate.zarr')
    >>> image = ZarrConfig(root="/data", layout=ZarrLayout.IMAGE, ome=OmeOptions(version="0.4"))
    >>> from polystore import ObjectConfig
    >>> ZarrConfig(root="plate.zarr", store=ObjectConfig(url="s3://plates")).root
    'plate.zarr'
    """

    root: str = field(converter=_text)
    layout: ZarrLayout = ZarrLayout.ARRAY
    chunks: tuple[int, ...] | None = field(default=None, converter=_lengths)
    shards: tuple[int, ...] | None = field(default=None, converter=_lengths)
    compressor: Compressor | None = Blosc()
    chunk_strategy: ChunkStrategy = ChunkStrategy.FIELD
    ome: OmeOptions = OmeOptions()
    names: PlateNames | None = None
    max_bytes: int = Limits().max_bytes
    store: Store[Payload, Payload] | None = None

    def __repr__(self) -> str:
        """Name the fields that are not as they are by default: few of many."""
        given = [
            f"{each.name}={value!r}"
            for each in fields(type(self))
            if (value := cast("object", getattr(self, each.name))) != each.default
        ]
        return f"ZarrConfig({', '.join(given)})"

    def __attrs_post_init__(self) -> None:
        """Make a folder's path absolute, as every process means it."""
        if self.store is None:
            object.__setattr__(self, "root", absolute(self.root))
