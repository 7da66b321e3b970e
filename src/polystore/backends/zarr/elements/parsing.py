"""Zarr's data types and fill values as NumPy's: the plain ones here, others by zarr-python."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast

from polystore.core.dtypes import PLAIN_DTYPES
from polystore.core.payload import HostArray, Json

if TYPE_CHECKING:
    import numpy as np
    from zarr.core.dtype import ZDType
    from zarr.core.dtype.wrapper import TBaseDType, TBaseScalar

__all__ = ["EXTENDED", "NARROW", "dtype_of", "fill_of", "is_extended", "is_ordered"]

NARROW = {
    "int2": 2,
    "int4": 4,
    "uint2": 2,
    "uint4": 4,
    "float4_e2m1fn": 4,
    "float6_e2m3fn": 6,
    "float6_e3m2fn": 6,
}
"""Data types with fewer bits than the byte that holds each; the upper bits mean nothing."""

EXTENDED = frozenset(
    (
        "bfloat16",
        "float8_e3m4",
        "float8_e4m3",
        "float8_e4m3b11fnuz",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
        *NARROW,
    )
)
"""Names in Zarr's registry of extensions that `ml_dtypes` knows too, and zarr-python does not."""

_V2 = re.compile(r"[<>|](?:b1|[iu][1248]|f[248]|c8|c16)")
_RAW = re.compile(r"r([1-9][0-9]{0,8})")
_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def dtype_of(spec: Json, zarr_format: Literal[2, 3]) -> np.dtype[Any]:
    """Give the dtype of what stands in a document, in the byte order that v2 says, else little.

    `NotImplementedError` for one that nobody knows.

    >>> dtype_of("uint16", 3), dtype_of(">u2", 2), dtype_of({"name": "bfloat16"}, 3)
    (dtype('uint16'), dtype('>u2'), dtype(bfloat16))
    """
    name = spec["name"] if isinstance(spec, dict) and set(spec) == {"name"} else spec
    if isinstance(name, str):
        known = _known(name) if zarr_format == 3 else _known_to_v2(name)
        if known is not None:
            return known
    try:
        found = cast(
            "np.dtype[Any]", _by_zarr_python(json.dumps(name), zarr_format).to_native_dtype()
        )
    except (ValueError, TypeError, LookupError) as error:
        raise NotImplementedError(f"it has the data type {json.dumps(name)[:80]}") from error
    return _native(found) if found.names is None and not found.hasobject else found


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Give an equal dtype, which does not say its byte order if that is the machine's."""
    import numpy as np

    return np.dtype(dtype.str)


def is_extended(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is one of `ml_dtypes`."""
    return dtype.names is None and dtype.name in EXTENDED


def is_ordered(dtype: np.dtype[Any]) -> bool:
    """Whether the byte order of a dtype can be chosen; in records, each field has its own."""
    return dtype.itemsize > 1 and (dtype.kind in "iufcmMU" or is_extended(dtype))


@cache
def _named(name: str) -> np.dtype[Any]:
    import numpy as np

    if name in EXTENDED:
        import ml_dtypes

        extended: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return extended
    return _native(np.dtype(name).newbyteorder("<"))


def _known(name: str) -> np.dtype[Any] | None:
    if name in PLAIN_DTYPES or name in EXTENDED:
        return _named(name)
    raw = _RAW.fullmatch(name)
    if raw is not None and int(raw[1]) % 8 == 0:
        import numpy as np

        return np.dtype(f"V{int(raw[1]) // 8}")
    return None


def _known_to_v2(name: str) -> np.dtype[Any] | None:
    if name in EXTENDED:
        return _named(name)
    if _V2.fullmatch(name):
        import numpy as np

        return np.dtype(name)
    return None


@lru_cache(256)
def _by_zarr_python(spec: str, zarr_format: Literal[2, 3]) -> ZDType[TBaseDType, TBaseScalar]:
    from zarr.dtype import parse_dtype

    found = json.loads(spec)
    if zarr_format == 2:
        found = {"name": found, "object_codec_id": None}
    return parse_dtype(found, zarr_format=zarr_format)


def fill_of(dtype: np.dtype[Any], spec: Json, value: Json, zarr_format: Literal[2, 3]) -> HostArray:
    """Give the fill value of a document as a 0-d array; zeros where v2 says that there is none.

    Raises what zarr-python raises for one that the data type does not have.

    >>> fill_of(dtype_of("float32", 3), "float32", "0x7fc00001", 3).view("u4")
    array(2143289345, dtype=uint32)
    """
    import numpy as np

    if value is None and zarr_format == 2:
        return np.zeros((), dtype)
    with np.errstate(over="ignore"):
        found = _fill(dtype, value)
        if found is not None:
            return found
        if is_extended(dtype) or (isinstance(spec, str) and _RAW.fullmatch(spec)):
            raise ValueError(f"its fill value is {value!r}")
        scalar = _by_zarr_python(json.dumps(spec), zarr_format).from_json_scalar(
            cast("Any", value), zarr_format=zarr_format
        )
        return np.array(scalar, dtype)


def _fill(dtype: np.dtype[Any], value: Json) -> HostArray | None:
    """Give a fill value that is written as the specification of v3 says; else `None`."""
    import numpy as np

    kind = dtype.kind
    if kind == "b":
        return np.array(value) if isinstance(value, bool) else None
    if isinstance(value, bool):
        return None
    if kind in "iu" or (dtype.name in NARROW and "int" in dtype.name):
        return np.array(value, dtype) if isinstance(value, int) else None
    if kind == "f" or is_extended(dtype):
        return _float(dtype, value)
    if kind == "c" and isinstance(value, list) and len(value) == 2:
        parts = [_float(np.dtype(f"{dtype.str[0]}f{dtype.itemsize // 2}"), it) for it in value]
        if parts[0] is not None and parts[1] is not None:
            pair: HostArray = np.stack((parts[0], parts[1])).view(dtype)
            return pair.reshape(())
    if kind == "V" and dtype.names is None and isinstance(value, list | str):
        content = b64decode(value) if isinstance(value, str) else bytes(cast("list[int]", value))
        return np.frombuffer(content, dtype).reshape(()) if len(content) == dtype.itemsize else None
    return None


def _float(dtype: np.dtype[Any], value: Json) -> HostArray | None:
    import numpy as np

    if isinstance(value, str):
        if value.startswith("0x") and len(value) == 2 + 2 * dtype.itemsize:
            bits = np.dtype(f"u{dtype.itemsize}").newbyteorder(dtype.byteorder)
            return np.array(int(value, 16), bits).view(dtype)
        value = _SPECIAL.get(value)
    return np.array(value, dtype) if isinstance(value, (int, float)) and value is not True else None
