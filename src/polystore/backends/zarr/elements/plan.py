"""The documents of a new array, as bytes, and what they say of its elements.

They are written as the specifications of Zarr v3 and v2 say. What is known of the array is then
read from these very documents, as a reader does, so that both agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from attrs import evolve, frozen

from polystore.backends.zarr.elements.choose import chosen_grid
from polystore.backends.zarr.elements.datatypes import DataType, data_type_of, is_big
from polystore.backends.zarr.elements.documents import document_bytes
from polystore.backends.zarr.elements.grid import Grid
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.meta import ArrayMeta, Documents
from polystore.backends.zarr.elements.parsing import is_ordered
from polystore.configs import Blosc, Compressor, Gzip, ZarrConfig, Zstd
from polystore.core.errors import InvalidSpec, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, and_then, catch, guard, is_successful
from polystore.core.payload import ArraySpec, Json

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ArrayPlan", "array_plan"]

_TYPESIZE_MAX = 255  # Blosc keeps it in one byte

_SHUFFLES = {"none": ("noshuffle", 0), "shuffle": ("shuffle", 1), "bitshuffle": ("bitshuffle", 2)}
_CNAMES = ("zstd", "lz4", "lz4hc", "blosclz", "zlib")
_LEVELS = {Blosc: (0, 9), Zstd: (1, 22), Gzip: (0, 9)}


@frozen
class ArrayPlan:
    """A new array: what is known of its elements, and its metadata files, by their names."""

    meta: ArrayMeta
    documents: Mapping[str, bytes]


def array_plan(
    spec: ArraySpec,
    dtype: np.dtype[Any],
    config: ZarrConfig,
    attributes: Mapping[str, Json],
    zarr_format: Literal[2, 3] = 3,
) -> Outcome[ArrayPlan]:
    """Give the plan of a new array of a shape and axes, with the grid and codecs of the config.

    `UnsupportedPayload` for a data type that Zarr lacks, and attributes that JSON cannot say;
    `InvalidSpec` for chunks that do not suit the shape, and for compressor options out of range.

    In Zarr v3 each chunk has a checksum (crc32c), and so has the index of a file of chunks. Zarr v2
    has neither, nor files of chunks, nor names of axes: its readers know no checksum, so that a
    flipped byte is found only as far as the compressor finds it.

    >>> import numpy as np
    >>> spec = ArraySpec((4, 1000, 1000), "uint16", ("z", "y", "x"), (1, 1000, 1000))
    >>> plan = array_plan(spec, np.dtype("u2"), ZarrConfig(root="/data"), {}).unwrap()
    >>> list(plan.documents), plan.meta.grid.chunk
    (['zarr.json'], (1, 1000, 1000))
    """
    _import_codecs()
    refused = _refused(config.compressor)
    if refused is not None:
        return Failure(refused)
    data_type = data_type_of(dtype, zarr_format)
    if not is_successful(data_type):
        return Failure(data_type.failure())
    found = _grid(spec, dtype, config, zarr_format)
    if not is_successful(found):
        return Failure(found.failure())
    make = _version_3 if zarr_format == 3 else _version_2
    fields = make(found.unwrap(), dtype, data_type.unwrap(), config.compressor)
    if zarr_format == 3 and len(spec.axes) == len(spec.shape) > 0:
        fields["dimension_names"] = list(spec.axes)
    about = Documents("array", zarr_format, fields, attributes)
    return and_then(
        _written(about), lambda content: array_meta(about).map(lambda it: ArrayPlan(it, content))
    )


def _import_codecs() -> None:
    """Import what encodes, so that what is not installed is missed before anything is made."""
    for package in ("numcodecs", "google_crc32c"):
        import_module(package)


def _written(about: Documents) -> Outcome[dict[str, bytes]]:
    documents: dict[str, Mapping[str, Json]] = {
        "zarr.json": {**about.fields, "attributes": about.attributes}
    }
    if about.zarr_format == 2:
        documents = {".zarray": about.fields, ".zattrs": about.attributes}
    return guard(
        lambda: {name: document_bytes(document) for name, document in documents.items()},
        *(catch(kind, _unsaid) for kind in (ValueError, TypeError, RecursionError)),
    )


def _unsaid(error: Exception) -> UnsupportedPayload:
    return UnsupportedPayload(
        "",
        None,
        f"JSON cannot say an attribute of this array ({error}).",
        "Leave out of the metadata what is no text, finite number, list or mapping.",
    )


def _grid(
    spec: ArraySpec, dtype: np.dtype[Any], config: ZarrConfig, zarr_format: Literal[2, 3]
) -> Outcome[Grid]:
    import numpy as np

    # zarr-python reads no records, and no raw bytes, from shards: none are chosen for them.
    sharded = zarr_format == 3 and not issubclass(dtype.type, np.void)
    if sharded or config.shards == () or (config.shards is not None and zarr_format == 3):
        return chosen_grid(spec.shape, dtype.itemsize, spec.axes, config)
    if config.shards is None:
        whole_files = evolve(config, shards=())
        return chosen_grid(spec.shape, dtype.itemsize, spec.axes, whole_files)
    return Failure(
        InvalidSpec(
            "",
            None,
            "Zarr v2 has no files of chunks, and the config has shards.",
            "Leave shards out, or write OME-Zarr 0.5, which is on Zarr v3.",
            "shards",
        )
    )


def _refused(compressor: Compressor | None) -> InvalidSpec | None:
    if compressor is None:
        return None
    lowest, highest = _LEVELS[type(compressor)]
    if not lowest <= compressor.level <= highest:
        reason = f"its level is {compressor.level}, and may be {lowest} to {highest}"
        return _no_compressor(compressor, reason)
    if isinstance(compressor, Blosc) and compressor.cname not in _CNAMES:
        return _no_compressor(compressor, f"its cname is none of {', '.join(_CNAMES)}")
    if isinstance(compressor, Blosc) and compressor.shuffle not in _SHUFFLES:
        return _no_compressor(compressor, f"its shuffle is none of {', '.join(_SHUFFLES)}")
    return None


def _no_compressor(compressor: Compressor, reason: str) -> InvalidSpec:
    return InvalidSpec(
        "",
        None,
        f"{compressor} is no compressor: {reason}.",
        "Change it in the config, or leave it out for the default.",
        "compressor",
    )


def _version_3(
    grid: Grid, dtype: np.dtype[Any], data_type: DataType, compressor: Compressor | None
) -> dict[str, Json]:
    codecs: Sequence[Json] = _codecs(dtype, compressor)
    if grid.is_sharded:
        index = [_codec("bytes", endian="little"), _codec("crc32c")]
        codecs = [
            _codec(
                "sharding_indexed",
                chunk_shape=list(grid.chunk),
                codecs=codecs,
                index_codecs=index,
                index_location="end",
            )
        ]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(grid.shape),
        "data_type": data_type.name,
        "fill_value": data_type.fill,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(grid.file)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": codecs,
    }


def _codec(name: str, **configuration: Json) -> dict[str, Json]:
    return {"name": name, "configuration": configuration} if configuration else {"name": name}


def _codecs(dtype: np.dtype[Any], compressor: Compressor | None) -> list[Json]:
    """Give the codecs of a chunk: the checksum comes last, and so is checked first in reading."""
    if dtype.kind == "T":
        serializer = _codec("vlen-utf8")
    elif dtype.itemsize > 1 and is_ordered(dtype):
        serializer = _codec("bytes", endian="big" if is_big(dtype) else "little")
    else:
        serializer = _codec("bytes")
    between = [] if compressor is None else [_compressor_3(dtype, compressor)]
    return [serializer, *between, _codec("crc32c")]


def _compressor_3(dtype: np.dtype[Any], compressor: Compressor) -> Json:
    if isinstance(compressor, Gzip):
        return _codec("gzip", level=compressor.level)
    if isinstance(compressor, Zstd):
        return _codec("zstd", level=compressor.level, checksum=False)
    fits = dtype.kind != "T" and dtype.itemsize <= _TYPESIZE_MAX
    return _codec(
        "blosc",
        cname=compressor.cname,
        clevel=compressor.level,
        shuffle=_SHUFFLES[compressor.shuffle][0],
        typesize=dtype.itemsize if fits else 1,
        blocksize=0,
    )


def _version_2(
    grid: Grid, dtype: np.dtype[Any], data_type: DataType, compressor: Compressor | None
) -> dict[str, Json]:
    return {
        "zarr_format": 2,
        "shape": list(grid.shape),
        "chunks": list(grid.chunk),
        "dtype": data_type.name,
        "fill_value": data_type.fill,
        "order": "C",
        "filters": [{"id": "vlen-utf8"}] if dtype.kind == "T" else None,
        "dimension_separator": "/",
        "compressor": _compressor_2(compressor),
    }


def _compressor_2(compressor: Compressor | None) -> Json:
    if compressor is None:
        return None
    if isinstance(compressor, Blosc):
        return {
            "id": "blosc",
            "cname": compressor.cname,
            "clevel": compressor.level,
            "shuffle": _SHUFFLES[compressor.shuffle][1],
            "blocksize": 0,
        }
    return {"id": "gzip" if isinstance(compressor, Gzip) else "zstd", "level": compressor.level}
