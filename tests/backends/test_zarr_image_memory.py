"""An image of a gigabyte takes no more memory than a small one: in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from polystore import Region, ZarrConfig, ZarrLayout, load
from polystore.backends.zarr.ome.pyramid import halved
from polystore.core.payload import HostArray

TILE, PEAK = 512, 300 * 2**20

CONVERT = """
import sys
import imagecodecs, numcodecs.blosc, numpy, tifffile
from polystore import DiskConfig, ZarrConfig, ZarrLayout, compose, load, rename, save
def peak():  # of this program alone: getrusage's would begin with its parent's
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
disk = DiskConfig(root=sys.argv[1])
zarr = ZarrConfig(root=sys.argv[1] + "/store", layout=ZarrLayout.IMAGE)
convert = compose(load(disk, lazy=True), rename("image"), save(zarr))
before = peak()
convert("large.tif").unwrap()
print(peak() - before)
"""


def tile(number: int) -> HostArray:
    rows, columns = np.ogrid[:TILE, :TILE]
    pixels: HostArray = ((rows // 8 + columns // 16) * (number % 5 + 1)).astype("u2")
    return pixels


def encoded(count: int) -> Iterator[bytes]:
    """Give the tiles of a TIFF as they are stored: so the file is made in no time."""
    known = [zlib.compress(tile(number).tobytes(), 1) for number in range(5)]
    return (known[number % 5] for number in range(count))


def peak_of_converting(folder: Path) -> int:
    command = [sys.executable, "-W", "ignore", "-c", CONVERT, str(folder)]
    return int(subprocess.check_output(command, text=True, timeout=300))


LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read there")


@LINUX
@pytest.mark.parametrize(("depth", "across"), [(1, 47), (10, 6)])
def test_a_tiled_and_compressed_tiff_becomes_an_image_in_bounded_memory(
    depth: int, across: int, tmp_path: Path
) -> None:
    shape = (depth, across * TILE, across * TILE)
    assert depth > 1 or np.prod(shape) * 2 > 1.1e9
    tifffile.imwrite(
        tmp_path / "large.tif",
        encoded(depth * across * across),
        shape=shape,
        dtype="u2",
        tile=(TILE, TILE),
        compression="zlib",
        photometric="minisblack",
        metadata={"axes": "ZYX"},
    )
    assert peak_of_converting(tmp_path) < PEAK
    store = ZarrConfig(root=tmp_path / "store", layout=ZarrLayout.IMAGE)
    lazy = load(store, lazy=True)("image").unwrap().payload
    assert lazy.spec.shape == shape[-len(lazy.spec.shape) :]
    number = across * across * (depth - 1) + across + 1
    there = slice(TILE, 2 * TILE)
    region: Region = (slice(depth - 1, depth), there, there)[-len(lazy.spec.shape) :]
    assert np.array_equal(lazy.read(region).unwrap().reshape(TILE, TILE), tile(number))
    smaller = load(store, lazy=True)("image/1").unwrap().payload
    there = slice(TILE // 2, TILE)
    region = (slice(depth - 1, depth), there, there)[-len(lazy.spec.shape) :]
    found = smaller.read(region).unwrap().reshape(TILE // 2, TILE // 2)
    assert np.array_equal(found, halved(tile(number), "mean"))


def noisy_plane(length: int) -> HostArray:
    """Give a plane that is hardly smaller compressed than it is."""
    noise = np.random.default_rng(0).integers(0, 4096, 2**19).astype("u2")
    plane: HostArray = np.resize(noise, (length, length))
    return plane


@LINUX
@pytest.mark.parametrize(("rows", "compression"), [(7000, "zlib"), (7000, "zstd"), (16, "zlib")])
def test_pages_of_one_strip_and_of_many_become_an_image_in_bounded_memory(
    rows: int, compression: str, tmp_path: Path
) -> None:
    depth, length = 2, 7000
    plane = noisy_plane(length)
    strips = [plane[start : start + rows].tobytes() for start in range(0, length, rows)]
    if compression == "zlib":
        stored = [zlib.compress(strip, 1) for strip in strips]
    else:
        stored = [bytes(imagecodecs.zstd_encode(strip, 1)) for strip in strips]
    tifffile.imwrite(
        tmp_path / "large.tif",
        (strip for _ in range(depth) for strip in stored),
        shape=(depth, *plane.shape),
        dtype="u2",
        rowsperstrip=rows,
        compression=compression,
        photometric="minisblack",
        metadata={"axes": "ZYX"},
    )
    assert peak_of_converting(tmp_path) < PEAK
    store = ZarrConfig(root=tmp_path / "store", layout=ZarrLayout.IMAGE)
    lazy = load(store, lazy=True)("image").unwrap().payload
    for number in range(depth):
        region: Region = (slice(number, number + 1), slice(None), slice(None))
        assert np.array_equal(lazy.read(region).unwrap()[0], plane)
