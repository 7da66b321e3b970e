"""File formats whose load gives a framework's own arrays: a codec and a framework, made one."""

from __future__ import annotations

from typing import TypeVar, cast

from attrs import evolve

from polystore.configs import CUPY_ARRAY, JAX_ARRAY, TF
from polystore.core.dtypes import PLAIN_DTYPES
from polystore.core.errors import StorageError, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, and_then
from polystore.core.payload import Array, HostArray, Payload, is_host_array
from polystore.core.records import (
    Codec,
    Decoded,
    Encoded,
    FileFormat,
    Framework,
    Limits,
    Readable,
    Transfer,
)
from polystore.formats.npy import ML_NPY_CODEC
from polystore.formats.tf import TF_HOST_CODEC
from polystore.frameworks.cupy import CUPY
from polystore.frameworks.jax import JAX
from polystore.frameworks.tensorflow import TENSORFLOW

__all__ = ["CUPY_CODEC", "JAX_CODEC", "TF_CODEC", "framed"]

A = TypeVar("A")


def framed(
    codec: Codec[HostArray],
    format: FileFormat[A],
    framework: Framework[A],
    dtypes: frozenset[str] | None = None,
) -> Codec[A]:
    """Give the codec that writes as `codec` does, and whose load gives arrays of `framework`.

    The decoded array is handed over as `convert` does it by default: the framework shares its
    memory where it can. What the framework refuses (`Lossy`, `UnsupportedPayload`) is refused; the
    advice names the format that loads the same file to the host, where `codec` is of another. A
    lazy load gives what the codec gives: host arrays, region by region.

    `dtypes` are NumPy's names of those that the framework has, if it has fewer than `codec`: others
    are refused when they are saved, because no load could give them.

    >>> from polystore.core.records import FileFormat
    >>> from polystore.formats.npy import NPY_CODEC
    >>> from polystore.frameworks.numpy import NUMPY
    >>> framed(NPY_CODEC, FileFormat("array", (".array",)), NUMPY).format.suffixes
    ('.array',)
    """

    def encode(item: Item[Payload], options: object, /) -> Outcome[Encoded]:
        array = item.payload
        if dtypes is None or not is_host_array(array) or array.dtype.name in dtypes:
            return codec.encode(item, options)
        message = f"{format.suffixes[0]} cannot hold the dtype {array.dtype}."
        advice = f"Save it as {codec.format.suffixes[0]}, or make numbers of it first."
        return Failure(UnsupportedPayload("", None, message, advice))

    def decode(source: Readable, limits: Limits, /) -> Outcome[Decoded[A]]:
        return and_then(codec.decode(source, limits), handed_over)

    def handed_over(decoded: Decoded[HostArray]) -> Outcome[Decoded[A]]:
        array = framework.from_host(decoded.payload, Transfer())
        return array.map(lambda it: Decoded(it, decoded.metadata)).alt(advised)

    def advised(error: StorageError) -> StorageError:
        if codec.format.name == format.name:
            return error
        other = f"Or load it to the host, with load(store, format={codec.format.name.upper()})."
        return evolve(error, advice=f"{error.advice} {other}")

    return Codec(format, encode, decode, codec.open, codec.options)


_JAX_DTYPES = PLAIN_DTYPES | {
    *("bfloat16", "float4_e2m1fn", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
    *("int1", "int2", "int4", "uint1", "uint2", "uint4"),
}
"""What JAX 0.10 takes; tests/test_framed.py asks it."""

JAX_CODEC: Codec[Array] = framed(ML_NPY_CODEC, JAX_ARRAY, JAX, _JAX_DTYPES)
"""The record of `.jax`."""

CUPY_CODEC: Codec[Array] = framed(ML_NPY_CODEC, CUPY_ARRAY, CUPY, PLAIN_DTYPES | {"bfloat16"})
"""The record of `.cupy`. CuPy has no float8."""

# TensorFlow's stubs do not say that a tensor has what an `Array` has.
_TENSORS = cast("Framework[Array]", TENSORFLOW)

TF_CODEC: Codec[Array] = framed(TF_HOST_CODEC, TF, _TENSORS)
"""The record of `.tf`."""
