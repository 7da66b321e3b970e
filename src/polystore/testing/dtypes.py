"""Every dtype that an array can have, and the words that say one in code."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
from hypothesis import strategies as st

__all__ = [
    "EVERY_DTYPE",
    "FOREIGN_DTYPES",
    "ML_DTYPES",
    "NUMBERS",
    "PLAIN_DTYPES",
    "SMALL",
    "DtypeWords",
    "dtype_of",
    "dtypes",
    "words_of",
]

NUMBERS = tuple(np.dtype(letter) for letter in "?bhilqBHILQefdgFDG")
"""Every number that NumPy has, in this machine's byte order."""

PLAIN_DTYPES = (
    *NUMBERS,
    *(np.dtype(letter).newbyteorder(">") for letter in "hiqHIQefdgFDG"),
    *map(np.dtype, ("S1", "S7", "U1", "U3", ">U3", "V1", "V5", "M8[ns]", "m8[25s]", ">M8[D]")),
    np.dtype([("mean", "<f4"), ("box", ">u2", (2, 2)), ("name", "S3")]),
    np.dtype([("well", [("row", "u1"), ("column", "u1")]), ("größe", "<f8")]),
    np.dtype([("\N{GREEK SMALL LETTER ALPHA}", "<c8")]),
)
"""Dtypes of NumPy's own without Python objects."""

SMALL = {
    **dict.fromkeys(("int4", "uint4", "float4_e2m1fn"), 4),
    **dict.fromkeys(("int2", "uint2"), 2),
    **dict.fromkeys(("float6_e2m3fn", "float6_e3m2fn"), 6),
}
"""Dtypes whose elements take a byte each, and of how many of its bits they are made."""


def _of_ml_dtypes(*names: str) -> tuple[np.dtype[Any], ...]:
    """Give those of the names that are dtypes of `ml_dtypes`: none where it is not installed."""
    try:
        import ml_dtypes
    except ImportError:
        return ()
    kinds = [cast("object", getattr(ml_dtypes, name, None)) for name in names]
    return tuple(
        np.dtype(cast("type[np.float64]", kind))  # any class of an element will do
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, np.generic)
    )


ML_DTYPES = _of_ml_dtypes(
    *("bfloat16", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn"),
    *("float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
    *SMALL,
)
"""The numbers of `ml_dtypes`."""

FOREIGN_DTYPES = (*ML_DTYPES, *(np.dtype([("weight", dtype)]) for dtype in ML_DTYPES[:1]))
"""Dtypes that NumPy knows only while another package is imported."""

EVERY_DTYPE = (*PLAIN_DTYPES, *FOREIGN_DTYPES, np.dtype(object), np.dtypes.StringDType())
"""Those, and Python objects and strings."""

DtypeWords: TypeAlias = "str | tuple[tuple[object, ...], ...]"
"""A dtype as code says it: `">u2"`, a name of `ml_dtypes`, or records: `(("x", "<f4"), ...)`."""


def dtype_of(words: DtypeWords) -> np.dtype[Any]:
    """Give the dtype that the words say.

    >>> dtype_of(">u2"), dtype_of((("mean", "<f4"), ("box", "u1", (2, 2)))).names
    (dtype('>u2'), ('mean', 'box'))
    """
    if not isinstance(words, str):
        fields = [(name, dtype_of(cast("DtypeWords", its)), *rest) for name, its, *rest in words]
        return np.dtype(cast("list[tuple[str, str]]", fields))
    found = _of_ml_dtypes(words)
    return found[0] if found else np.dtype(words)


def words_of(dtype: np.dtype[Any]) -> DtypeWords:
    """Give the words of a dtype, from which `dtype_of` makes it again.

    Records must be packed: where a field begins is not said.

    >>> words_of(np.dtype([("mean", "<f4"), ("box", "u1", (2, 2))]))
    (('mean', '<f4'), ('box', 'u1', (2, 2)))
    """
    if dtype.names is not None:
        records = cast("np.dtype[np.void]", dtype)
        return tuple((name, *_words_of_field(records[name])) for name in dtype.names)
    if dtype.kind == "T":  # whose `str` is that of Python objects
        return "T"
    return dtype.name if _of_ml_dtypes(dtype.name) else dtype.str.lstrip("|")


def _words_of_field(dtype: np.dtype[Any]) -> tuple[object, ...]:
    if dtype.subdtype is None:
        return (words_of(dtype),)
    element, shape = dtype.subdtype
    return (words_of(element), shape)


def dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    """Give any dtype of NumPy's own, those of `ml_dtypes`, and Python objects and strings."""
    return st.sampled_from(EVERY_DTYPE)
