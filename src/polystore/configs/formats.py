"""Every file format that polystore brings, and the options of those that have some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from attrs import frozen

from polystore.core.payload import Array, HostArray, Json
from polystore.core.records import FileFormat

if TYPE_CHECKING:
    from polystore.core.rois import Rois
    from polystore.core.table import Table

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
    "JpegOptions",
    "NpzOptions",
    "PngOptions",
    "Subsampling",
    "TiffOptions",
]

NPY: FileFormat[HostArray] = FileFormat("npy", (".npy",))
"""NumPy's own format: one array of any dtype without Python objects."""

JAX_ARRAY: FileFormat[Array] = FileFormat("jax", (".jax",))
"""The content of a `.npy`, bfloat16 and float8 too; a load gives a `jax.Array`."""

CUPY_ARRAY: FileFormat[Array] = FileFormat("cupy", (".cupy",))
"""The content of a `.npy`, bfloat16 and float8 too; a load gives a `cupy.ndarray`."""

NPZ: FileFormat[Mapping[str, HostArray]] = FileFormat("npz", (".npz",))
"""NumPy's archive: arrays by their names."""

TIFF: FileFormat[HostArray] = FileFormat("tiff", (".tif", ".tiff"))
"""TIFF, ImageJ's too: one array, of a type that TIFF can hold, and its metadata."""

OME_TIFF: FileFormat[HostArray] = FileFormat("ome-tiff", (".ome.tif", ".ome.tiff"))
"""TIFF with OME-XML: one array, and its metadata."""

PNG: FileFormat[HostArray] = FileFormat("png", (".png",))
"""PNG: an 8- or 16-bit image."""

JPEG: FileFormat[HostArray] = FileFormat("jpeg", (".jpg", ".jpeg"))
"""JPEG: an 8-bit image, whose values change when it is saved."""

BMP: FileFormat[HostArray] = FileFormat("bmp", (".bmp",))
"""BMP: an 8-bit image."""

PT: FileFormat[Array | Mapping[str, Array]] = FileFormat("pt", (".pt", ".pth"))
"""PyTorch's format: a tensor, or tensors by their names."""

SAFETENSORS: FileFormat[Mapping[str, HostArray]] = FileFormat("safetensors", (".safetensors",))
"""safetensors: arrays by their names, bfloat16 and float8 too."""

TF: FileFormat[Array] = FileFormat("tf", (".tf",))
"""TensorFlow's serialised tensor; a load gives a `tf.Tensor`."""

CSV: FileFormat[Table] = FileFormat("csv", (".csv",))
"""CSV: a table with typed columns, which a spreadsheet opens too."""

JSON: FileFormat[Json] = FileFormat("json", (".json",))
"""JSON, as UTF-8."""

TEXT: FileFormat[str] = FileFormat("text", (".txt", ".md", ".log"))
"""Text, as UTF-8."""

ROI: FileFormat[Rois] = FileFormat("roi", (".roi", ".roi.zip"))
"""ImageJ's regions of interest: one, or an archive of several."""


IMAGE_FORMATS: tuple[FileFormat[HostArray], ...] = (TIFF, OME_TIFF, PNG, JPEG, BMP)
"""The formats of images: what `list_image_files` lists."""


@frozen
class TiffOptions:
    """How a TIFF is written: `compression` and, for it, `level` (`None`: the library's default).

    `kind` is of a `.tif` alone. `"auto"` writes what ImageJ takes for its own where the array is a
    hyperstack of ImageJ's and something is known of it that ImageJ can be told, and a plain TIFF
    elsewhere; `"imagej"` refuses what ImageJ cannot hold; `"plain"` tells ImageJ nothing.

    >>> TiffOptions(compression="zstd", level=3)
    TiffOptions(compression='zstd', level=3, kind='auto')
    """

    compression: Literal["none", "deflate", "lzw", "packbits", "zstd"] = "none"
    level: int | None = None
    kind: Literal["auto", "imagej", "plain"] = "auto"


@frozen
class PngOptions:
    """How a PNG is written: `level` 0 (fast) to 9 (small); the pixels are the same.

    >>> PngOptions(level=9)
    PngOptions(level=9)
    """

    level: int = 1


Subsampling: TypeAlias = Literal["4:4:4", "4:2:2", "4:2:0"]
"""How many pixels of a JPEG share a color: one, two side by side, or four in a square."""


@frozen
class JpegOptions:
    """How a JPEG is written. Giving one says that values may change.

    `quality` is 1 (small) to 100 (values change by a few at most), libjpeg's own scale.
    `subsampling` is of colors alone (gray has none): "4:2:0" is what nearly every program writes;
    "4:4:4" keeps them as sharp as the brightness.

    >>> JpegOptions(quality=95)
    JpegOptions(quality=95, subsampling='4:2:0')
    """

    quality: int
    subsampling: Subsampling = "4:2:0"


@frozen
class NpzOptions:
    """How a `.npz` is written: `compression` of its arrays; their bits are the same."""

    compression: Literal["none", "deflate"] = "none"
