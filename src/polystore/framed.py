"""File formats whose load gives a framework's own arrays: a codec and a framework, made one."""

from __future__ import annotations

from typing import TypeVar

from attrs import evolve

from polystore.configs import JAX_ARRAY
from polystore.core.errors import StorageError
from polystore.core.outcome import Outcome, and_then
from polystore.core.payload import Array, HostArray
from polystore.core.records import (
    Codec,
    Decoded,
    FileFormat,
    Framework,
    Limits,
    Readable,
    Transfer,
)
from polystore.formats.npy import NPY_CODEC
from polystore.frameworks.jax import JAX

__all__ = ["JAX_CODEC", "framed"]

A = TypeVar("A")


def framed(codec: Codec[HostArray], format: FileFormat[A], framework: Framework[A]) -> Codec[A]:
    """Give the codec that writes as `codec` does, and whose load gives arrays of `framework`.

    The decoded array is handed over as `convert` does it by default: the framework shares its
    memory where it can. What the framework refuses (`Lossy`, `UnsupportedPayload`) is refused; the
    advice names the format that loads the same file to the host, where `codec` is of another. A
    lazy load gives what the codec gives: host arrays, region by region.

    >>> from polystore.core.records import FileFormat
    >>> from polystore.formats.npy import NPY_CODEC
    >>> from polystore.frameworks.numpy import NUMPY
    >>> framed(NPY_CODEC, FileFormat("array", (".array",)), NUMPY).format.suffixes
    ('.array',)
    """

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

    return Codec(format, codec.encode, decode, codec.open, codec.options)


JAX_CODEC: Codec[Array] = framed(NPY_CODEC, JAX_ARRAY, JAX)
"""The record of `.jax`."""
