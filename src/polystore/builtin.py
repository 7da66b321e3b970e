"""The built-in tables: what polystore brings, imported when it is first asked for.

Adding a store, format or framework is one file and one entry here.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from polystore.configs import NPY, PNG, TIFF, DiskConfig, MemoryConfig, ZarrConfig
from polystore.core.outcome import Outcome, Success
from polystore.core.registry import Entries, Entry

if TYPE_CHECKING:
    from polystore.core.payload import HostArray
    from polystore.core.records import Backend, ByteStore, Codec, Framework

__all__ = ["BUILTIN", "EXTRAS"]

EXTRAS: dict[str, str] = {
    "imagecodecs": "png",
    "jax": "jax",
    "ml_dtypes": "torch",
    "rich": "cli",
    "tifffile": "tiff",
    "torch": "torch",
    "zarr": "zarr",
}
"""Which extra of polystore brings a package."""


@cache
def _disk() -> Outcome[ByteStore[object, object]]:
    from polystore.backends.disk import DISK

    return Success(DISK)


@cache
def _memory() -> Outcome[Backend[object, object]]:
    from polystore.backends.memory import MEMORY

    return Success(MEMORY)


@cache
def _zarr() -> Outcome[Backend[object, object]]:
    from polystore.backends.zarr import ZARR

    return Success(ZARR)


@cache
def _npy() -> Outcome[Codec[HostArray]]:
    from polystore.formats.npy import NPY_CODEC

    return Success(NPY_CODEC)


@cache
def _tiff() -> Outcome[Codec[HostArray]]:
    from polystore.formats.tiff import TIFF_CODEC

    return Success(TIFF_CODEC)


@cache
def _png() -> Outcome[Codec[HostArray]]:
    from polystore.formats.png import PNG_CODEC

    return Success(PNG_CODEC)


@cache
def _numpy() -> Outcome[Framework[object]]:
    from polystore.frameworks.numpy import NUMPY

    return Success(NUMPY)


@cache
def _torch() -> Outcome[Framework[object]]:
    from polystore.frameworks.torch import TORCH

    return Success(TORCH)


@cache
def _jax() -> Outcome[Framework[object]]:
    from polystore.frameworks.jax import JAX

    return Success(JAX)


BUILTIN = Entries(
    stores=(
        Entry("disk", DiskConfig, _disk),
        Entry("memory", MemoryConfig, _memory),
        Entry("zarr", ZarrConfig, _zarr),
    ),
    formats=(Entry("npy", NPY, _npy), Entry("tiff", TIFF, _tiff), Entry("png", PNG, _png)),
    frameworks=(
        Entry("numpy", "numpy", _numpy),
        Entry("torch", "torch", _torch),
        Entry("jax", "jax", _jax),
    ),
)
"""Every built-in record, by kind."""
