"""The `zarr.json` of a new array.

We write the document ourselves, as the Zarr v3 specification says, and let zarr-python parse it:
its own writer warns of four data types, through filters that belong to the whole process.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from polystore.backends.zarr.notes import OURS, Spec, notes_of
from polystore.core.errors import StorageError, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success, catch, guard, is_successful
from polystore.core.payload import HostArray, Json

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Document", "chunk_shape", "document_for"]

CHUNK_BYTES = 4 * 2**20
"""The most that a chunk takes before compression. On 128 MB of 16-bit pixels, chunks of 1 MiB cost
a third more to save and to load, and larger ones gain nothing."""

_TYPESIZE_MAX = 255  # Blosc keeps it in one byte


@frozen
class Document:
    """A document to be written, and the fields of the metadata that it cannot carry."""

    fields: Mapping[str, Json]
    dropped: tuple[str, ...]


def document_for(array: HostArray, item: Item[object], spec: Spec) -> Outcome[Document]:
    """Give the document of an array; `UnsupportedPayload` if Zarr has no such data type."""
    data_type = _data_type(array.dtype)
    if not is_successful(data_type):
        return Failure(data_type.failure())
    notes, dropped = notes_of(item, spec)
    axes = item.metadata.axes
    names: dict[str, Json] = {"dimension_names": list(axes)} if len(axes) == array.ndim > 0 else {}
    fields: dict[str, Json] = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(array.shape),
        **data_type.unwrap(),
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": chunk_shape(array.shape, array.dtype.itemsize)},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": _codecs(array.dtype),
        "attributes": {OURS: notes},
        **names,
    }
    return Success(Document(fields, dropped))


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> list[int]:
    """Give the chunks of a new array: its last axes whole, as many as fit, and a share of one more.

    >>> chunk_shape((5, 1000, 1000), 2)
    [2, 1000, 1000]
    >>> chunk_shape((8192, 8192), 2), chunk_shape((), 8), chunk_shape((0, 3), 1)
    ([256, 8192], [], [1, 3])
    """
    chunks = [1] * len(shape)
    room = CHUNK_BYTES // itemsize
    for axis in reversed(range(len(shape))):
        length = max(1, shape[axis])
        if length > room:
            chunks[axis] = math.ceil(length / math.ceil(length / max(1, room)))
            break
        chunks[axis] = length
        room //= length
    return chunks


def _codecs(dtype: np.dtype[Any]) -> list[Json]:
    """Give the codecs of a new array.

    Blosc is several times faster than zarr-python's default, and packs images closer. The checksum
    comes last, so that it is checked before a damaged chunk reaches a decompressor.
    """
    if dtype.kind == "T":
        serializer: dict[str, Json] = {"name": "vlen-utf8"}
    elif dtype.kind in "iufcmMU" and dtype.itemsize > 1:
        endian = "big" if dtype.str.startswith(">") else "little"
        serializer = {"name": "bytes", "configuration": {"endian": endian}}
    else:
        serializer = {"name": "bytes"}
    blosc: dict[str, Json] = {
        "cname": "zstd",
        "clevel": 1,
        "shuffle": "bitshuffle",
        "typesize": dtype.itemsize if dtype.itemsize <= _TYPESIZE_MAX else 1,
        "blocksize": 0,
    }
    return [serializer, {"name": "blosc", "configuration": blosc}, {"name": "crc32c"}]


def _data_type(dtype: np.dtype[Any]) -> Outcome[dict[str, Json]]:
    """Give the fields that say the data type, if they lead back to this very dtype."""
    from zarr.dtype import parse_dtype

    def fields() -> dict[str, Json]:
        spec = _data_type_spec(dtype)
        known = parse_dtype(cast("str", spec), zarr_format=3)
        native: np.dtype[Any] = known.to_native_dtype()
        if dtype != native and (dtype.names or dtype != native.newbyteorder(">")):
            raise ValueError(dtype)
        fill = known.to_json_scalar(known.default_scalar(), zarr_format=3)
        known.from_json_scalar(fill, zarr_format=3)  # it takes not all that it gives
        return {"data_type": spec, "fill_value": fill}

    def none(_error: Exception) -> StorageError:
        return UnsupportedPayload(
            "",
            None,
            f"Zarr has no data type for {dtype}.",
            "Convert it to numbers, strings or packed little-endian records first.",
        )

    if dtype.hasobject and dtype.kind != "T":
        return Failure(none(ValueError()))
    return guard(fields, catch(ValueError, none), catch(TypeError, none), catch(KeyError, none))


def _data_type_spec(dtype: np.dtype[Any]) -> Json:
    """Give the JSON of a data type.

    zarr-python warns when it writes these four, whose specification is a draft, into JSON itself.
    """
    import numpy as np
    from zarr.dtype import parse_dtype

    if dtype.names is not None:
        fields = [[name, _data_type_spec(dtype[name])] for name in dtype.names]
        return {"name": "structured", "configuration": {"fields": fields}}
    if dtype.kind in "iufc":  # zarr-python knows one of two names for a size: not NumPy's longlong
        dtype = np.dtype(dtype.str)
    draft = {"S": "null_terminated_bytes", "U": "fixed_length_utf32", "V": "raw_bytes"}
    if dtype.kind in draft:
        return {"name": draft[dtype.kind], "configuration": {"length_bytes": dtype.itemsize}}
    return cast("Json", parse_dtype(dtype, zarr_format=3).to_json(zarr_format=3))
