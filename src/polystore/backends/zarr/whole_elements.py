"""The elements of one array, in and out of one folder, by zarr-python."""

from __future__ import annotations

import errno
import json
import lzma
import math
import struct
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from polystore.backends.zarr.node import DOCUMENT, write_file
from polystore.core.errors import Corrupt, StorageError, TooLarge, UnsupportedPayload
from polystore.core.outcome import (
    Failure,
    Outcome,
    Success,
    and_then,
    catch,
    guard,
    is_successful,
)
from polystore.core.payload import HostArray, Json, aligned_empty

if TYPE_CHECKING:
    import numpy as np
    import zarr

    from polystore.backends.zarr.store import FolderStore

__all__ = ["Elements", "nbytes_of", "read_array", "write_array"]

CHUNK_COST = 4096
"""Bytes that zarr-python takes for each chunk of a read, however small the chunk."""


@frozen
class Elements:
    """What a read gave, and whether all chunks were there that it asked for."""

    array: Outcome[HostArray]
    complete: bool


def write_array(folder: int, fields: Mapping[str, Json], array: HostArray) -> None:
    """Write the document and all chunks of an array into a new folder; raises `OSError`."""
    from zarr.buffer import cpu

    from polystore.backends.zarr.store import FolderStore

    write_file(folder, DOCUMENT, json.dumps(fields, indent=2, allow_nan=False).encode())
    store = FolderStore(folder, read_only=False)
    try:
        target = _as_array(store, fields).with_config({"write_empty_chunks": True, "order": "C"})
        target.set_basic_selection(..., array, prototype=cpu.buffer_prototype)
    finally:
        store.close()


def _as_array(store: FolderStore, fields: Mapping[str, Json]) -> zarr.Array[Any]:
    """Give zarr-python's array of a document; it raises what it likes."""
    import zarr
    from zarr.storage import StorePath

    parse = cast("Callable[[StorePath, dict[str, Json]], zarr.Array[Any]]", zarr.Array.from_dict)
    return parse(StorePath(store), dict(fields))


def read_array(folder: int, fields: Mapping[str, Json], max_bytes: int, ours: bool) -> Elements:
    """Read all chunks from a folder into one aligned array.

    `ours` says that we wrote the array: a missing chunk is then `Corrupt`, otherwise it is the fill
    value; and its byte order is that of the saved array, while zarr-python gives the machine's.
    `TooLarge` before anything is allocated, `UnsupportedPayload` for what zarr-python cannot read.
    """
    from polystore.backends.zarr.store import FolderStore

    # A chunk that does not shrink is a little larger when it is encoded.
    store = FolderStore(folder, dense=ours, longest=2 * max_bytes)
    try:
        opened = _opened(store, fields, max_bytes)
        array = and_then(opened, lambda source: _allocated(_dtype_of(source, fields, ours), source))
        if is_successful(array):
            array = _read(store, opened.unwrap(), array.unwrap())
    finally:
        store.close()
    return Elements(array, store.missing is None)


def nbytes_of(folder: int, fields: Mapping[str, Json]) -> Outcome[int]:
    """Give the bytes of the elements of an array, from its document alone."""
    from polystore.backends.zarr.store import FolderStore

    return _opened(FolderStore(folder), fields, sys.maxsize).map(_nbytes)


def _opened(
    store: FolderStore, fields: Mapping[str, Json], max_bytes: int
) -> Outcome[zarr.Array[Any]]:
    from zarr.dtype import parse_dtype
    from zarr.errors import UnknownCodecError

    data_type = cast("str", fields.get("data_type"))
    known = guard(
        lambda: parse_dtype(data_type, zarr_format=3),
        *(catch(kind, lambda _: _beyond(f"it has the data type {data_type}")) for kind in _RAISED),
    )
    opened = and_then(
        known,
        lambda _: guard(
            lambda: _as_array(store, fields),
            catch(UnknownCodecError, lambda error: _beyond(str(error))),
            # Of codecs beyond the specification; raised only where the user made warnings errors.
            catch(Warning, lambda warning: _beyond(str(warning))),
            *(catch(kind, _damaged) for kind in _RAISED),
        ),
    )
    return and_then(opened, lambda array: _within(array, max_bytes))


def _beyond(reason: str) -> StorageError:
    return UnsupportedPayload(
        "",
        None,
        f"zarr-python cannot read this array: {reason}.",
        "Install the package that teaches it, or convert the array where it was made.",
    )


def _damaged(error: Exception) -> StorageError:
    return _corrupt(f"{type(error).__name__}: {error}")


def _corrupt(reason: str) -> StorageError:
    return Corrupt(
        "",
        None,
        f"This array is damaged, or not as zarr-python knows arrays ({reason}).",
        "Save it again from its source.",
    )


def _within(array: zarr.Array[Any], max_bytes: int) -> Outcome[zarr.Array[Any]]:
    """Refuse what would take more memory than allowed: as a whole, or for one chunk of it."""
    if array.dtype.hasobject and array.dtype.kind != "T":
        return Failure(_beyond("it holds Python objects"))
    chunk = array.shards or array.chunks
    count = math.prod(
        -(-length // max(1, step)) for length, step in zip(array.shape, chunk, strict=True)
    )
    nbytes = max(_nbytes(array), math.prod(chunk) * array.dtype.itemsize, count * CHUNK_COST)
    if nbytes <= max_bytes:
        return Success(array)
    return Failure(
        TooLarge(
            "",
            None,
            f"Reading the array takes {nbytes} bytes, and the limit is {max_bytes}.",
            "If you trust the store, raise max_bytes in the config.",
        )
    )


def _nbytes(array: zarr.Array[Any]) -> int:
    return math.prod(array.shape) * array.dtype.itemsize


def _dtype_of(array: zarr.Array[Any], fields: Mapping[str, Json], ours: bool) -> np.dtype[Any]:
    codecs = fields["codecs"]
    big = {"name": "bytes", "configuration": {"endian": "big"}}
    if ours and isinstance(codecs, list) and codecs[0] == big:
        return array.dtype.newbyteorder(">")
    return array.dtype


def _allocated(dtype: np.dtype[Any], source: zarr.Array[Any]) -> Outcome[HostArray]:
    import numpy as np

    def allocate() -> HostArray:
        # Strings of any length live outside of the array, in memory that NumPy itself must set up.
        return (
            np.empty(source.shape, dtype) if dtype.hasobject else aligned_empty(source.shape, dtype)
        )

    return guard(allocate, catch(MemoryError, _no_memory), catch(ValueError, _damaged))


def _no_memory(_error: Exception) -> StorageError:
    return TooLarge(
        "",
        None,
        "There is not enough memory for this array, or a chunk of it is far too long.",
        "Read it on a larger machine, or save it again from its source.",
    )


def _read(store: FolderStore, source: zarr.Array[Any], into: HostArray) -> Outcome[HostArray]:
    from zarr.buffer import cpu

    def read() -> HostArray:
        out = cpu.NDBuffer.from_numpy_array(into)
        source.get_basic_selection(..., out=out, prototype=cpu.buffer_prototype)
        return into

    def explained(error: Exception) -> StorageError:
        store.close()  # only then is it known what else went wrong
        if store.missing is not None:
            return _corrupt(f"the chunk {store.missing} is missing")
        if store.problem is not None and store.problem.errno == errno.EFBIG:
            return _no_memory(error)
        if store.problem is not None and store.problem.errno not in _NO_CHUNK:
            raise store.problem
        return _no_memory(error) if isinstance(error, MemoryError) else _damaged(error)

    return guard(read, *(catch(kind, explained) for kind in (*_RAISED, OSError, MemoryError)))


_NO_CHUNK = (errno.EISDIR, errno.ENXIO, errno.ENOTDIR, errno.EXDEV, errno.ELOOP)
"""What is said of a chunk that is no file, or a link out of the array's folder."""

_RAISED: tuple[type[Exception], ...] = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    EOFError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
"""What zarr-python and the codecs of others raise on what they cannot read."""
