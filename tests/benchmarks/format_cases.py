"""The formats that are compared, each with what is written, and the library's own two calls.

Libraries without types, or with some only, are imported by their names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from polystore import HostArray, Metadata, Payload, TiffOptions

__all__ = ["Case", "image_file", "npz", "picture", "pt", "safetensors", "tf", "tiff"]

TiffCompression: TypeAlias = Literal["none", "deflate", "zstd"]


@frozen
class Case:
    """A payload in a format, and how a library writes it to a path and reads it from there.

    `format` is the registered name that has to be there, `name` what the row calls it. `bound` is
    `None` where nobody promises one; with `noise`, the library is measured against itself, too.
    """

    format: str
    name: str
    suffix: str
    size: str
    payload: Payload
    writer: str
    write: Callable[[Path], object]
    reader: str
    read: Callable[[Path], object]
    options: object = None
    metadata: Metadata = field(factory=Metadata)
    bound: float | None = 1.10
    calls: int = 1
    noise: bool = False


def noise(count: int) -> NDArray[np.uint16]:
    return np.random.default_rng(0).integers(0, 4096, count * 2**20, np.uint16)


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """Give RGB as of a microscope: smooth, with a little noise in each color."""
    rows, columns = np.ogrid[:height, :width]
    smooth = 120 + 50 * np.sin(columns / 300) + 50 * np.cos(rows / 200)
    rng = np.random.default_rng(0)
    grain = rng.standard_normal((height, width), np.float32)
    planes = [np.clip(smooth + grain * strength, 0, 255) for strength in (1, 2, 3)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def mapping(count: int = 64) -> dict[str, HostArray]:
    return {"image": noise(count // 2).reshape(-1, 1024), "labels": noise(count // 2)}


def npz() -> Case:
    arrays = mapping()

    def read(path: Path) -> object:
        with np.load(path) as archive:
            return {name: archive[name] for name in archive.files}

    return Case(
        "npz",
        ".npz",
        ".npz",
        "128 MB",
        arrays,
        "np.savez",
        lambda path: np.savez(path, image=arrays["image"], labels=arrays["labels"]),
        "np.load",
        read,
    )


def pt() -> Case:
    torch = import_module("torch")
    tensors = {name: torch.from_numpy(array.view(np.int16)) for name, array in mapping().items()}

    def write(path: Path) -> object:
        return torch.save(tensors, path)

    def read(path: Path) -> object:
        return torch.load(path, weights_only=True)

    return Case("pt", ".pt", ".pt", "128 MB", tensors, "torch.save", write, "torch.load", read)


def safetensors() -> Case:
    library = import_module("safetensors.numpy")
    arrays = mapping()
    return Case(
        "safetensors",
        ".safetensors",
        ".safetensors",
        "128 MB",
        arrays,
        "save_file",
        lambda path: library.save_file(arrays, path),
        "load_file",
        library.load_file,
    )


def tf() -> Case:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tensorflow = import_module("tensorflow")
    tensor = tensorflow.constant(noise(64).reshape(64, 1024, 1024))

    def write(path: Path) -> object:
        return tensorflow.io.write_file(str(path), tensorflow.io.serialize_tensor(tensor))

    def read(path: Path) -> object:
        return tensorflow.io.parse_tensor(tensorflow.io.read_file(str(path)), tensorflow.uint16)

    return Case("tf", ".tf", ".tf", "128 MB", tensor, "tf.io", write, "tf.io", read)


def image_file(
    name: str, size: str, image: HostArray, options: object, calls: int = 1, *, alone: bool = False
) -> Case:
    """PNG, JPEG or BMP, through imagecodecs' pair of functions for it."""
    import imagecodecs

    encode: Callable[[HostArray], bytes]
    decode: Callable[[bytes], object]
    if name == "png":
        encode, decode = lambda it: bytes(imagecodecs.png_encode(it, 1)), imagecodecs.png_decode
    elif name == "jpeg":
        encode, decode = (
            lambda it: bytes(imagecodecs.jpeg8_encode(it, 95)),
            imagecodecs.jpeg8_decode,
        )
    else:
        encode, decode = lambda it: bytes(imagecodecs.bmp_encode(it)), imagecodecs.bmp_decode
    suffix = f".{name}"
    return Case(
        name,
        name.upper(),
        suffix,
        size,
        image,
        f"imagecodecs.{name}_encode",
        lambda path: path.write_bytes(encode(image)),
        f"imagecodecs.{name}_decode",
        lambda path: decode(path.read_bytes()),
        options,
        calls=calls,
        noise=alone,
    )


def tiff(kind: str, compression: TiffCompression = "none") -> Case:
    import tifffile

    planes = 16 if compression != "none" else 64
    image = noise(planes).reshape(planes, 1024, 1024)
    known = Metadata(axes=("z", "y", "x"), scale=(2.0, 0.5, 0.5), unit=("micrometer",) * 3)
    words: Mapping[str, object] = {"axes": "ZYX"}
    if kind == "imagej":
        words = {"axes": "ZYX", "spacing": 2.0, "unit": "micron"}
    elif kind == "ome":
        sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0}
        words = {"axes": "ZYX", **sizes}

    def write(path: Path) -> object:
        return tifffile.imwrite(
            path,
            image,
            imagej=kind == "imagej",
            ome=kind == "ome",
            photometric="minisblack",
            resolution=(2.0, 2.0) if kind == "imagej" else None,
            compression=None if compression == "none" else compression,
            metadata=dict(words),
        )

    names = {"imagej": "ImageJ TIFF", "ome": "OME-TIFF", "plain": f"TIFF, {compression}"}
    options = TiffOptions(compression=compression)
    return Case(
        "ome-tiff" if kind == "ome" else "tiff",
        names[kind],
        ".ome.tif" if kind == "ome" else ".tif",
        f"{2 * planes} MB",
        image,
        "imwrite",
        write,
        "imread",
        tifffile.imread,
        options if kind == "plain" else None,
        Metadata() if kind == "plain" else known,
    )
