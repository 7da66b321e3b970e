"""Every config, file format and option: frozen values that name stores and say how to write.

A config is an address: hashable, picklable, and to JSON and back with `to_spec` and `from_spec`. It
holds nothing that is open.
"""

from __future__ import annotations

from polystore.configs.composed import (
    PayloadKind,
    ReadOnlyConfig,
    Route,
    RouteConfig,
    VirtualConfig,
    VirtualIndex,
    VirtualItem,
)
from polystore.configs.formats import (
    BMP,
    CSV,
    CUPY_ARRAY,
    IMAGE_FORMATS,
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
    JpegOptions,
    NpzOptions,
    PngOptions,
    Subsampling,
    TiffOptions,
)
from polystore.configs.objects import ObjectConfig
from polystore.configs.stores import DiskConfig, Durability, MemoryConfig
from polystore.configs.zarr import (
    Blosc,
    ChunkStrategy,
    Compressor,
    Gzip,
    OmeOptions,
    PlateNames,
    ZarrConfig,
    ZarrLayout,
    Zstd,
)

__all__ = [
    "BMP",
    "CSV",
    "CUPY_ARRAY",
    "IMAGE_FORMATS",
    "JAX_ARRAY",
    "JPEG",
    "JSON",
    "NPY",
    "NPZ",
    "OME_TIFF",
    "PNG",
    "PT",
    "ROI",
    "SAFETENSORS",
    "TEXT",
    "TF",
    "TIFF",
    "Blosc",
    "ChunkStrategy",
    "Compressor",
    "DiskConfig",
    "Durability",
    "Gzip",
    "JpegOptions",
    "MemoryConfig",
    "NpzOptions",
    "ObjectConfig",
    "OmeOptions",
    "PayloadKind",
    "PlateNames",
    "PngOptions",
    "ReadOnlyConfig",
    "Route",
    "RouteConfig",
    "Subsampling",
    "TiffOptions",
    "VirtualConfig",
    "VirtualIndex",
    "VirtualItem",
    "ZarrConfig",
    "ZarrLayout",
    "Zstd",
]
