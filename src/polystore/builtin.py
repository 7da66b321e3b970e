"""The built-in tables: what polystore brings, imported when it is first asked for.

Adding a store, format or framework is one file, or a folder, and one entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, cast

from polystore.configs import (
    BMP,
    CSV,
    CUPY_ARRAY,
    JAX_ARRAY,
    JPEG,
    JSON,
    NPY,
    NPZ,
    OME_TIFF,
    PNG,
    PT,
    ROI,
    SAFETENSORS,
    TEXT,
    TF,
    TIFF,
    DiskConfig,
    MemoryConfig,
    ObjectConfig,
    ReadOnlyConfig,
    RouteConfig,
    VirtualConfig,
    ZarrConfig,
)
from polystore.core.outcome import Outcome, Success
from polystore.core.registry import (
    Entries,
    Entry,
    FormatEntry,
    FrameworkEntry,
    StoreEntry,
    StoreRecord,
)

if TYPE_CHECKING:
    from polystore.core.records import Codec, FileFormat, Framework

__all__ = ["BUILTIN", "EXTRAS"]

EXTRAS: dict[str, str] = {
    "cupy": "cupy",
    "google_crc32c": "zarr",
    "hypothesis": "testing",
    "imagecodecs": "images",
    "jax": "jax",
    "ml_dtypes": "safetensors",
    "nanoarrow": "arrow",
    "numcodecs": "zarr",
    "obstore": "objects",
    "rich": "cli",
    "roifile": "roi",
    "safetensors": "safetensors",
    "tensorflow": "tensorflow",
    "tifffile": "tiff",
    "torch": "torch",
    "zarr": "zarr",
}
"""Which extra of polystore brings a package."""


@cache
def _record(module: str, name: str) -> Outcome[object]:
    """Import a module of polystore, and give what it has under the name."""
    return Success(cast("object", getattr(import_module(f"polystore.{module}"), name)))


def _store(config: type[object], module: str, name: str) -> StoreEntry:
    found = partial(_record, f"backends.{module}", name)
    return Entry(module, config, cast("Callable[[], Outcome[StoreRecord]]", found))


def _format(format: FileFormat[object], module: str, name: str) -> FormatEntry:
    found = partial(_record, module, name)
    return Entry(format.name, format, cast("Callable[[], Outcome[Codec[object]]]", found))


def _framework(word: str) -> FrameworkEntry:
    found = partial(_record, f"frameworks.{word}", word.upper())
    return Entry(word, word, cast("Callable[[], Outcome[Framework[object]]]", found))


# What stands in a module is not asked before it is used; tests/test_builtin.py asks each.
BUILTIN = Entries(
    stores=(
        _store(DiskConfig, "disk", "DISK"),
        _store(MemoryConfig, "memory", "MEMORY"),
        _store(ZarrConfig, "zarr", "ZARR"),
        _store(ObjectConfig, "objects", "OBJECTS"),
        _store(RouteConfig, "route", "ROUTE"),
        _store(ReadOnlyConfig, "readonly", "READONLY"),
        _store(VirtualConfig, "virtual", "VIRTUAL"),
    ),
    formats=(
        _format(NPY, "formats.npy", "NPY_CODEC"),
        _format(JAX_ARRAY, "framed", "JAX_CODEC"),
        _format(CUPY_ARRAY, "framed", "CUPY_CODEC"),
        _format(NPZ, "formats.npz", "NPZ_CODEC"),
        _format(TIFF, "formats.tiff", "TIFF_CODEC"),
        _format(OME_TIFF, "formats.tiff", "OME_TIFF_CODEC"),
        _format(PNG, "formats.png", "PNG_CODEC"),
        _format(JPEG, "formats.jpeg", "JPEG_CODEC"),
        _format(BMP, "formats.bmp", "BMP_CODEC"),
        _format(PT, "formats.pt", "PT_CODEC"),
        _format(SAFETENSORS, "formats.safetensors", "SAFETENSORS_CODEC"),
        _format(TF, "framed", "TF_CODEC"),
        _format(CSV, "formats.csv", "CSV_CODEC"),
        _format(JSON, "formats.json", "JSON_CODEC"),
        _format(TEXT, "formats.text", "TEXT_CODEC"),
        _format(ROI, "formats.roi", "ROI_CODEC"),
    ),
    frameworks=tuple(map(_framework, ("numpy", "torch", "jax", "tensorflow", "cupy"))),
)
"""Every built-in record, by kind."""
