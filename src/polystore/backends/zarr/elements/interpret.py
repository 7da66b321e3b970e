"""The fields of an array's documents, of Zarr v3 and of v2, as what they mean."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import frozen

from polystore.backends.zarr.elements.codecs import Chain, Settle, chain_of, swapped, trimmed
from polystore.backends.zarr.elements.compressors import (
    CHECKSUM,
    Step,
    compressor_of_v2,
    compressor_of_v3,
)
from polystore.backends.zarr.elements.fields import (
    Named,
    axes_of,
    file_name_of,
    is_dense,
    lengths_of,
    list_of,
    named_of,
    steps_of,
)
from polystore.backends.zarr.elements.grid import Grid
from polystore.backends.zarr.elements.meta import ArrayMeta, Documents
from polystore.backends.zarr.elements.parsing import (
    NARROW,
    dtype_of,
    fill_of,
    is_extended,
    is_ordered,
)
from polystore.backends.zarr.elements.shard import IndexForm
from polystore.core.errors import Corrupt, StorageError, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, catch, guard
from polystore.core.payload import HostArray, Json

if TYPE_CHECKING:
    import numpy as np

__all__ = ["RAISED", "array_meta", "beyond", "damaged"]


_REASON_MAX = 200  # characters

_FIELDS = frozenset(
    (
        "zarr_format",
        "node_type",
        "shape",
        "data_type",
        "chunk_grid",
        "chunk_key_encoding",
        "fill_value",
        "codecs",
        "dimension_names",
        "storage_transformers",
    )
)

RAISED: tuple[type[Exception], ...] = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    EOFError,
    struct.error,
)
"""What parsing raises on metadata that it cannot read, zarr-python's too."""


def array_meta(documents: Documents) -> Outcome[ArrayMeta]:
    """Give what the documents of an array say, without reading any of its elements.

    `Corrupt` for what contradicts itself or the specification, `UnsupportedPayload` for what nobody
    here can read. How large it says that the array is does not matter.

    >>> fields = {
    ...     "shape": [4, 6], "data_type": "uint16", "fill_value": 0,
    ...     "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 6]}},
    ...     "chunk_key_encoding": {"name": "default"}, "codecs": [{"name": "bytes"}],
    ... }
    >>> meta = array_meta(Documents("array", 3, fields, {})).unwrap()
    >>> meta.grid.files, meta.dtype, meta.file_name((1, 0))
    ((2, 1), dtype('uint16'), 'c/1/0')
    """
    if documents.kind != "array":
        return Failure(beyond("it is a group"))
    by_version = _meta_of_v3 if documents.zarr_format == 3 else _meta_of_v2
    return guard(lambda: by_version(documents), *_CATCHES)


def beyond(reason: str) -> StorageError:
    """Give the error for an array that is perhaps in order, and that nobody here can read."""
    return UnsupportedPayload(
        "",
        None,
        f"This array cannot be read: {_short(reason)}.",
        "Install the package that teaches it to zarr-python, or convert it where it was made.",
    )


def damaged(error: Exception) -> StorageError:
    """Give the error for metadata that contradicts itself or the specification."""
    if isinstance(error, KeyError):
        reason = f"{error} is missing in it"
    else:
        reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
    return Corrupt(
        "",
        None,
        f"The metadata of this array is damaged: {_short(reason)}.",
        "Save the array again from its source.",
    )


def _short(reason: str) -> str:
    """Give a reason as a few words on one line: it may tell all of a hostile document."""
    text = " ".join(reason[:_REASON_MAX].split()).encode(errors="replace").decode()
    return text.rstrip(".") if text.isprintable() else "no reason given"


_CATCHES = (
    catch(NotImplementedError, lambda error: beyond(str(error))),
    # Of codecs beyond the specification; raised only where the user made warnings errors.
    catch(Warning, lambda warning: beyond(str(warning))),
    *(catch(kind, damaged) for kind in RAISED),
)


def _meta_of_v3(documents: Documents) -> ArrayMeta:
    fields = documents.fields
    _refuse_unknown(fields)
    shape = lengths_of(fields["shape"], 0)
    grid_name, grid = named_of(fields["chunk_grid"])
    if grid_name != "regular":
        raise NotImplementedError(f"its chunks are no regular grid, but {grid_name!r}")
    file = steps_of(grid["chunk_shape"], shape)
    shards = _shards([named_of(codec) for codec in list_of(fields["codecs"])], file, shape)
    found = _elements_of_v3(fields, shards.codecs, is_dense(documents.attributes))
    return ArrayMeta(
        Grid(shape, file, shards.chunk),
        *(found or _by_zarr_python(documents)),
        dense=is_dense(documents.attributes),
        file_name=file_name_of(*named_of(fields["chunk_key_encoding"])),
        axes=axes_of(fields.get("dimension_names"), len(shape)),
        documents=documents,
        index=shards.index,
    )


def _meta_of_v2(documents: Documents) -> ArrayMeta:
    fields = documents.fields
    shape = lengths_of(fields["shape"], 0)
    chunk = steps_of(fields["chunks"], shape)
    return ArrayMeta(
        Grid(shape, chunk, chunk),
        *(_elements_of_v2(fields, len(shape)) or _by_zarr_python(documents)),
        dense=is_dense(documents.attributes),
        file_name=file_name_of("v2", {"separator": fields.get("dimension_separator", ".")}),
        axes=(),
        documents=documents,
    )


def _refuse_unknown(fields: Mapping[str, Json]) -> None:
    for name in fields.keys() - _FIELDS:
        value = fields[name]
        if not isinstance(value, Mapping) or value.get("must_understand") is not False:
            raise NotImplementedError(f"it has the field {name!r}, which a reader must understand")
    if fields.get("storage_transformers"):
        raise NotImplementedError("it has storage transformers")


@frozen
class _Shards:
    """The codecs of a chunk, `None` if they are not for us; its shape; the form of the index."""

    codecs: Sequence[Named] | None
    chunk: tuple[int, ...]
    index: IndexForm | None = None


def _shards(codecs: Sequence[Named], file: tuple[int, ...], shape: tuple[int, ...]) -> _Shards:
    if all(name != "sharding_indexed" for name, _ in codecs):
        return _Shards(codecs, file)
    if len(codecs) > 1:
        return _Shards(None, file)
    options = codecs[0][1]
    chunk = steps_of(options["chunk_shape"], shape)
    if any(long % short for long, short in zip(file, chunk, strict=True)):
        raise ValueError("its shards are no multiple of their chunks")
    location = options.get("index_location", "end")
    if location not in ("start", "end"):
        raise ValueError("the index of its shards is neither at the start nor at the end")
    inner = [named_of(codec) for codec in list_of(options["codecs"])]
    index = [named_of(codec) for codec in list_of(options.get("index_codecs", ["bytes", "crc32c"]))]
    names = [name for name, _ in index]
    if names not in (["bytes"], ["bytes", "crc32c"]):
        return _Shards(None, chunk)
    byte_order = ">" if index[0][1].get("endian") == "big" else "<"
    return _Shards(inner, chunk, IndexForm(location == "start", len(names) > 1, byte_order))


_Elements: TypeAlias = "tuple[np.dtype[Any], Chain | None, HostArray]"


def _elements_of_v3(
    fields: Mapping[str, Json], codecs: Sequence[Named] | None, ours: bool
) -> _Elements | None:
    """Give the data type, the codecs and the fill value; `None` if zarr-python has to."""
    if not codecs or codecs[0][0] != "bytes":
        return None
    dtype = dtype_of(fields["data_type"], 3)
    steps = [_step(name, options, dtype.itemsize) for name, options in codecs[1:]]
    if dtype.hasobject or dtype.itemsize == 0:
        return None
    endian = codecs[0][1].get("endian", "little")
    if endian not in ("big", "little"):
        raise ValueError("its byte order is neither big nor little")
    is_big = endian == "big" and is_ordered(dtype)
    keeps = is_big and ours and not is_extended(dtype)  # the byte order of the array that was saved
    if keeps:
        dtype = dtype.newbyteorder(">")
    known = [step for step in steps if step is not None]
    settle = swapped if is_big and not keeps else None
    chain = chain_of(known, settle or _trim(dtype)) if len(known) == len(steps) else None
    if chain is None:
        return None
    return dtype, chain, fill_of(dtype, fields["data_type"], fields["fill_value"], 3)


def _step(name: str, options: Mapping[str, Json], itemsize: int) -> Step | None:
    return CHECKSUM if name == "crc32c" else compressor_of_v3(name, options, itemsize)


def _trim(dtype: np.dtype[Any]) -> Settle | None:
    bits = NARROW.get(dtype.name)
    return None if bits is None else trimmed(bits)


def _elements_of_v2(fields: Mapping[str, Json], ndim: int) -> _Elements | None:
    """Give the data type, the codec and the fill value; `None` if zarr-python has to."""
    if fields.get("order", "C") not in ("C", "F"):
        raise ValueError("its order is neither C nor F")
    if fields.get("filters") or (fields.get("order", "C") == "F" and ndim > 1):
        return None
    if fields["dtype"] == "|O":
        return None
    dtype = dtype_of(fields["dtype"], 2)
    if dtype.hasobject or dtype.itemsize == 0:
        return None
    options = fields.get("compressor")
    steps: list[Step] = []
    if options is not None:
        if not isinstance(options, Mapping):
            raise ValueError("its compressor has no name")
        step = compressor_of_v2(options, dtype.itemsize)
        if step is None:
            return None
        steps.append(step)
    chain = chain_of(steps, _trim(dtype))
    return dtype, chain, fill_of(dtype, fields["dtype"], fields.get("fill_value"), 2)


def _by_zarr_python(documents: Documents) -> _Elements:
    from polystore.backends.zarr.elements.pythonstore import described

    dtype, fill = described(documents)
    return dtype, None, fill
