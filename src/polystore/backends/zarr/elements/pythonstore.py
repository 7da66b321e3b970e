"""What zarr-python reads and writes for us: strings, unusual codecs, filters, shards in shards."""

from __future__ import annotations

import errno
import lzma
import math
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from polystore.backends.zarr.elements.refusals import damaged_elements, no_memory, too_large
from polystore.backends.zarr.tree import Files, Seen
from polystore.core.outcome import Failure, Outcome, catch, guard, is_successful
from polystore.core.payload import HostArray, Json, aligned_empty
from polystore.core.region import Box, lengths, region_of

if TYPE_CHECKING:
    import numpy as np
    import zarr

    from polystore.backends.zarr.elements.filesstore import FilesStore
    from polystore.backends.zarr.elements.meta import ArrayMeta, Documents
    from polystore.core.errors import StorageError

__all__ = ["described", "read_by_zarr_python", "write_by_zarr_python"]

CHUNK_COST = 4096
"""Bytes that zarr-python takes for each chunk of a read, however small the chunk."""


def described(documents: Documents) -> tuple[np.dtype[Any], HostArray]:
    """Give the dtype and the fill value of an array that zarr-python can read.

    `NotImplementedError` for what it has never heard of; else it raises what it likes.
    """
    import numpy as np
    from zarr.errors import UnknownCodecError

    try:
        array = _as_array(_store(_NO_FILES, ""), documents)
    except UnknownCodecError as error:
        raise NotImplementedError(str(error)) from error
    dtype: np.dtype[Any] = array.dtype
    if dtype.hasobject and dtype.kind != "T":
        raise NotImplementedError("it holds Python objects")
    fill = cast("object", array.fill_value)
    return dtype, np.zeros((), dtype) if fill is None else np.array(fill, dtype)


def _nothing(_path: str) -> None:
    return None


_NO_FILES = Files(_nothing, cast("Any", _nothing), lambda: iter(()), lambda: (None, None))


def _store(files: Files, below: str) -> FilesStore:
    from polystore.backends.zarr.elements.filesstore import FilesStore

    return FilesStore(files, below)


def _as_array(store: FilesStore, documents: Documents) -> zarr.Array[Any]:
    """Give zarr-python's array of documents; it raises what it likes."""
    import zarr
    from zarr.storage import StorePath

    fields: dict[str, Json] = {**documents.fields, "attributes": {}}
    parse = cast("Callable[[StorePath, dict[str, Json]], zarr.Array[Any]]", zarr.Array.from_dict)
    return parse(StorePath(store), fields)


def read_by_zarr_python(
    files: Files, meta: ArrayMeta, box: Box, max_bytes: int, below: str
) -> Seen[HostArray]:
    """Read a part of an array: what `read_elements` does, where the engine knows not how."""
    from polystore.backends.zarr.elements.filesstore import FilesStore

    grid, itemsize = meta.grid, meta.dtype.itemsize
    count = math.prod(
        -(-part.stop // step) - part.start // step
        for part, step in zip(box, grid.file, strict=True)
    )
    largest = max(math.prod(lengths(box)), math.prod(grid.file) if all(box) else 0) * itemsize
    nbytes = max(largest, count * CHUNK_COST)
    if nbytes > max_bytes:
        return Seen(Failure(too_large(nbytes, max_bytes)))
    # A chunk that does not shrink is a little larger when it is encoded.
    store = FilesStore(files, below, dense=meta.dense, longest=2 * max_bytes)
    try:
        array = guard(
            lambda: _allocated(lengths(box), meta.dtype),
            catch(MemoryError, no_memory),
            catch(ValueError, no_memory),
        )
        if is_successful(array):
            array = _read(store, meta, box, array.unwrap())
    finally:
        store.close()
    return Seen(array, store.missing is None)


def _allocated(shape: tuple[int, ...], dtype: np.dtype[Any]) -> HostArray:
    import numpy as np

    # Strings of any length live outside of the array, in memory that NumPy itself must set up.
    return np.empty(shape, dtype) if dtype.hasobject else aligned_empty(shape, dtype)


def _read(store: FilesStore, meta: ArrayMeta, box: Box, into: HostArray) -> Outcome[HostArray]:
    from zarr.buffer import cpu

    def read() -> HostArray:
        source = _as_array(store, meta.documents)
        out = cpu.NDBuffer.from_numpy_array(into)
        source.get_basic_selection(region_of(box), out=out, prototype=cpu.buffer_prototype)
        return into

    def explained(error: Exception) -> StorageError:
        store.close()  # only then is it known what else went wrong
        if meta.dense and store.missing is not None:
            return damaged_elements(f"the file {store.missing!r} is missing")
        if store.problem is not None and store.problem.errno == errno.EFBIG:
            return no_memory(error)
        if store.problem is not None and store.problem.errno not in _NO_CHUNK:
            raise store.problem
        if isinstance(error, MemoryError):
            return no_memory(error)
        return damaged_elements(f"zarr-python cannot read it ({type(error).__name__}: {error})")

    return guard(read, *(catch(kind, explained) for kind in _RAISED))


def write_by_zarr_python(files: Files, meta: ArrayMeta, array: HostArray, below: str = "") -> None:
    """Write all chunks of a new array, but not its documents; raises `OSError`."""
    from zarr.buffer import cpu

    from polystore.backends.zarr.elements.filesstore import FilesStore

    store = FilesStore(files, below, read_only=False)
    try:
        target = _as_array(store, meta.documents)
        target = target.with_config({"write_empty_chunks": True, "order": "C"})
        target.set_basic_selection(..., array, prototype=cpu.buffer_prototype)
    finally:
        store.close()


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
    MemoryError,
    OSError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
"""What zarr-python and the codecs of others raise on what they cannot read."""
