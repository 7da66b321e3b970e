"""The words of Zarr for NumPy's data types: those of its version 3, and those of version 2.

We write them ourselves, as the specification and its registry of extensions say, and ask
zarr-python only about the rare ones: its own writer warns of four of them, through filters that
belong to the whole process, and does not know those of `ml_dtypes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from polystore.backends.zarr.elements.parsing import is_extended
from polystore.core.dtypes import PLAIN_DTYPES
from polystore.core.errors import StorageError, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, catch, guard
from polystore.core.payload import Json

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DataType", "data_type_of", "is_big"]

_FILLS: dict[str, Json] = {"b": False, "i": 0, "u": 0, "f": 0.0, "c": [0.0, 0.0]}

_DRAFTS = {"S": "null_terminated_bytes", "U": "fixed_length_utf32", "V": "raw_bytes"}


@frozen
class DataType:
    """What a document says of the elements: the JSON of their data type, and of the fill value."""

    name: Json
    fill: Json


def data_type_of(dtype: np.dtype[Any], zarr_format: int) -> Outcome[DataType]:
    """Give the words for a data type, if they lead back to this very one.

    `UnsupportedPayload` if that version of Zarr has none.

    >>> import numpy as np
    >>> data_type_of(np.dtype(">u2"), 3).unwrap(), data_type_of(np.dtype(">u2"), 2).unwrap()
    (DataType(name='uint16', fill=0), DataType(name='>u2', fill=0))
    """
    name = dtype.newbyteorder("=").name if dtype.kind in _FILLS else dtype.name
    if dtype.kind in _FILLS and name in PLAIN_DTYPES:
        if zarr_format == 3:
            return Success(DataType(name, _FILLS[dtype.kind]))
        return Success(DataType(dtype.str, _FILLS[dtype.kind]))
    if zarr_format == 3 and is_extended(dtype):
        return Success(DataType(name, 0 if "int" in name else 0.0))
    if dtype.hasobject and dtype.kind != "T":
        return Failure(_none(dtype))
    return guard(
        lambda: _asked(dtype, zarr_format),
        *(catch(kind, lambda _: _none(dtype)) for kind in (ValueError, TypeError, KeyError)),
    )


def is_big(dtype: np.dtype[Any]) -> bool:
    """Whether the elements are big-endian."""
    return dtype.str.startswith(">")


def _none(dtype: np.dtype[Any]) -> StorageError:
    return UnsupportedPayload(
        "",
        None,
        f"Zarr has no data type for {dtype}.",
        "Convert it to numbers, strings or packed little-endian records first.",
    )


def _asked(dtype: np.dtype[Any], zarr_format: int) -> DataType:
    """Give what zarr-python says; it raises `ValueError`, `TypeError` or `KeyError` if nothing."""
    from zarr.dtype import parse_dtype

    if zarr_format == 3:
        name = _version_3(dtype)
        known = parse_dtype(cast("str", name), zarr_format=3)
        fill = known.to_json_scalar(known.default_scalar(), zarr_format=3)
        known.from_json_scalar(fill, zarr_format=3)  # it takes not all that it gives
    else:
        known = parse_dtype(dtype, zarr_format=2)
        name = known.to_json(zarr_format=2)["name"]
        fill = known.to_json_scalar(known.default_scalar(), zarr_format=2)
    native: np.dtype[Any] = known.to_native_dtype()
    if dtype != native and (zarr_format == 2 or dtype.names or dtype != native.newbyteorder(">")):
        raise ValueError(dtype)
    return DataType(name, fill)


def _version_3(dtype: np.dtype[Any]) -> Json:
    import numpy as np
    from zarr.dtype import parse_dtype

    if dtype.names is not None:
        fields = [[name, _version_3(dtype[name])] for name in dtype.names]
        return {"name": "structured", "configuration": {"fields": fields}}
    if dtype.kind in "iufc":  # zarr-python knows one of two names for a size: not NumPy's longlong
        dtype = np.dtype(dtype.str)
    if dtype.kind in _DRAFTS:
        return {"name": _DRAFTS[dtype.kind], "configuration": {"length_bytes": dtype.itemsize}}
    return cast("Json", parse_dtype(dtype, zarr_format=3).to_json(zarr_format=3))
