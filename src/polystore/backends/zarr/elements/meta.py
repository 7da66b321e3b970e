"""What the documents of an array say of its elements, of Zarr v3 and of v2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from polystore.backends.zarr.elements.codecs import Chain
from polystore.backends.zarr.elements.grid import Grid, Place
from polystore.backends.zarr.elements.shard import IndexForm
from polystore.core.payload import HostArray, Json

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ArrayMeta", "Chain", "Documents"]


@frozen
class Documents:
    """What is in the metadata files of a node: those of v2 as if they were one.

    `fields` are those of `zarr.json` without the attributes, or of `.zarray` or `.zgroup`;
    `attributes` are its own, or what is in `.zattrs`.
    """

    kind: Literal["array", "group"]
    zarr_format: Literal[2, 3]
    fields: Mapping[str, Json]
    attributes: Mapping[str, Json]


@frozen
class ArrayMeta:
    """What is needed to read and to write the elements of an array.

    - `dtype` is that of the array as it is given to a user.
    - `chain` is `None` where zarr-python has to read: unusual codecs, strings, ragged things.
    - `fill` is the value of chunks that are not there, a 0-d array of `dtype`.
    - `dense` says that all chunks were written: a missing one is damage. It is in our notes.
    - `file_name(place)` is the path of a file below the array (`"c/0/1"`).
    - `axes` are the names of the dimensions, or none.
    - `documents` are those that it came from.
    - `index` is how the index of a shard is written; `None` where a file is one chunk.
    """

    grid: Grid
    dtype: np.dtype[Any]
    chain: Chain | None
    fill: HostArray
    dense: bool
    file_name: Callable[[Place], str]
    axes: tuple[str, ...]
    documents: Documents
    index: IndexForm | None = None
