"""How long the files of a node may be: what is copied as it is stored is not read, but bounded."""

from __future__ import annotations

import errno
import math

from attrs import evolve

from polystore.backends.zarr.elements.codecs import longest
from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.elements.refusals import damaged_elements
from polystore.backends.zarr.elements.shard import index_nbytes
from polystore.backends.zarr.kind import DOCUMENTS
from polystore.backends.zarr.tree import Files
from polystore.core.errors import StorageError
from polystore.core.records import Readable

__all__ = ["bounded"]


def bounded(files: Files, refused: list[StorageError]) -> Files:
    """Give files of which none is opened that is longer than the chunks in it can be.

    Opening one raises `OSError`, and what is wrong is added to `refused`. Files that are none of an
    array that our engine knows have no bound.
    """
    known = dict[str, int | None]()

    def bound_of(path: str) -> int | None:
        parts = path.split("/")
        for depth in range(len(parts)):
            below = "".join(f"{part}/" for part in parts[:depth])
            if below not in known:
                known[below] = _file_nbytes(files, below)
            if known[below] is not None:
                return known[below]
        return None

    def opened(path: str) -> Readable | None:
        source = files.open(path)
        if source is None or path.rpartition("/")[2] in DOCUMENTS:
            return source
        bound = bound_of(path)
        if bound is None or source.size <= bound:
            return source
        source.close()
        reason = f"{path!r} has {source.size} bytes, and its chunks never so many"
        refused.append(damaged_elements(reason))
        raise OSError(errno.EFBIG, reason, path)

    return evolve(files, open=opened)


def _file_nbytes(files: Files, below: str) -> int | None:
    """Give the most bytes that a file of an array may have; `None` where no array is known."""
    found = documents_in(files, below).value_or(None)
    meta = None if found is None or found.kind != "array" else array_meta(found).value_or(None)
    return None if meta is None or meta.chain is None else _longest_file(meta)


def _longest_file(meta: ArrayMeta) -> int:
    chunk = longest(math.prod(meta.grid.chunk) * meta.dtype.itemsize)
    if meta.index is None:
        return chunk
    count = math.prod(meta.grid.chunks_of_file)
    return count * chunk + index_nbytes(meta.index, count)
