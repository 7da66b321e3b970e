"""Arrays that are read from disk region by region: what they see, and when they let go of it."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from polystore import (
    PNG,
    Corrupt,
    DiskConfig,
    Item,
    Load,
    MemoryConfig,
    NotFound,
    TiffOptions,
    UnsupportedOperation,
    load,
    save,
)

IMAGE = np.arange(6 * 40 * 30, dtype=np.uint16).reshape(6, 40, 30)
REGION = (slice(1, 3), slice(5, 25), slice(0, 30))


def open_files() -> list[str]:
    folder = Path("/proc/self/fd")
    return sorted(str(fd.readlink()) for fd in folder.iterdir() if fd.is_symlink())


@pytest.mark.parametrize("compression", ["none", "deflate"])
def test_a_region_is_the_slice(tmp_path: Path, compression: str) -> None:
    disk = DiskConfig(root=tmp_path)
    options = TiffOptions(compression="deflate" if compression == "deflate" else "none")
    save(disk, options=options)(Item("a.tif", IMAGE)).unwrap()
    item = load(disk, lazy=True)("a.tif").unwrap()
    whole = load(disk)("a.tif").unwrap()
    assert (item.payload.spec.shape, item.payload.spec.dtype) == (IMAGE.shape, "uint16")
    assert item.metadata == whole.metadata
    np.testing.assert_array_equal(item.payload.read(REGION).unwrap(), IMAGE[REGION])


def test_it_reads_what_was_there_when_it_was_made(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    save(disk)(Item("a.tif", IMAGE)).unwrap()
    array = load(disk, lazy=True)("a.tif").unwrap().payload
    save(disk, if_exists="replace")(Item("a.tif", IMAGE + 1)).unwrap()
    np.testing.assert_array_equal(array.read(REGION).unwrap(), IMAGE[REGION])


def test_the_file_is_closed_when_the_array_is_gone(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    save(disk)(Item("a.tif", IMAGE)).unwrap()
    load(disk)("a.tif").unwrap()
    before = open_files()
    array = load(disk, lazy=True)("a.tif").unwrap().payload
    read = array.read
    del array
    gc.collect()
    assert read(REGION).unwrap().shape == (2, 20, 30)  # who has the function has the file
    assert len(open_files()) == len(before) + 1
    del read
    gc.collect()
    assert open_files() == before


def test_a_file_that_cannot_be_opened_is_closed(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0 no more than that")
    disk = DiskConfig(root=tmp_path)
    before = open_files()
    refused = load(disk, lazy=True)("a.tif").failure()
    assert isinstance(refused, Corrupt)
    assert (refused.key, refused.config) == ("a.tif", disk)
    assert len(open_files()) <= len(before) + 1  # the root, kept by the store
    assert isinstance(load(disk, lazy=True)("b.tif").failure(), NotFound)


def test_a_bad_region_names_the_key(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    save(disk)(Item("a.tif", IMAGE)).unwrap()
    array = load(disk, lazy=True)("a.tif").unwrap().payload
    refused = array.read((slice(0, 1),) * 5).failure()
    assert (refused.key, refused.config) == ("a.tif", disk)


def test_what_cannot_be_lazy_says_so(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    save(disk)(Item("a.png", IMAGE[0])).unwrap()
    for step in (load(disk, lazy=True), load(disk, format=PNG, lazy=True)):
        assert isinstance(step("a.png").failure(), UnsupportedOperation)
    lazily: Load[object] = Load(MemoryConfig(), lazy=True)  # a type checker refuses `load` here
    assert isinstance(lazily("a.npy").failure(), UnsupportedOperation)
