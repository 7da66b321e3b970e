"""Arrays in `.npy` and TIFF, of 128 MB and of 4 KB, against NumPy and tifffile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
from measuring import Fresh, Rounds, Row, extra, fastest, ratio

from polystore import DiskConfig, HostArray, Item, load, save, write

LARGE = (64, 1024, 1024)  # uint16: 128 MB
SMALL = (16, 32)  # float64: 4 KB


def large_files(folder: Path, how: Rounds) -> Iterator[Row]:
    image = np.random.default_rng(0).integers(0, 4096, LARGE, np.uint16)
    np.save(folder / "a.npy", image)
    tifffile.imwrite(folder / "a.tif", image)
    disk = DiskConfig(root=folder)

    def np_load() -> object:
        return np.load(folder / "a.npy")

    def tiff_read() -> object:
        return tifffile.imread(folder / "a.tif")

    yield ratio("np.load 128 MB, against itself", fastest(np_load, np_load, how), None)
    yield ratio(
        "load 128 MB .npy / np.load",
        fastest(lambda: load(disk)("a.npy").unwrap(), np_load, how),
        1.10,
    )
    yield ratio(
        "load 128 MB TIFF / imread",
        fastest(lambda: load(disk)("a.tif").unwrap(), tiff_read, how),
        1.10,
    )
    (folder / "a.npy").unlink()
    (folder / "a.tif").unlink()
    for suffix, name, library in savers(image):
        ours, theirs = Fresh(folder / "ours", suffix), Fresh(folder / "theirs", suffix)
        if suffix == ".npy":
            times = fastest(partial(library, ours), partial(library, theirs), how)
            yield ratio("np.save 128 MB, against itself", times, None)
        times = fastest(partial(save_ours, ours, image), partial(library, theirs), how)
        yield ratio(f"save 128 MB {suffix} / {name}", times, 1.10)
        ours()
        theirs()


def savers(image: HostArray) -> tuple[tuple[str, str, Callable[[Fresh], object]], ...]:
    return (
        (".npy", "np.save", lambda fresh: np.save(fresh(), image)),
        (".tif", "imwrite", lambda fresh: tifffile.imwrite(fresh(), image)),
    )


def save_ours(fresh: Fresh, image: HostArray) -> None:
    write(fresh(), image).unwrap()


def small_files(folder: Path, how: Rounds) -> Iterator[Row]:
    array = np.random.default_rng(0).random(SMALL)
    np.save(folder / "a.npy", array)
    disk = DiskConfig(root=folder / "ours")
    step, reader = save(disk), load(DiskConfig(root=folder))
    ours, theirs = (f"{i}.npy" for i in range(10**9)), Fresh(folder / "theirs", ".npy")

    def np_load() -> object:
        return np.load(folder / "a.npy")

    def np_save() -> None:
        theirs.count += 1
        np.save(f"{folder}/theirs/{theirs.count}.npy", array)

    yield ratio("np.load 4 KB, against itself", fastest(np_load, np_load, how), None)
    yield ratio(
        "load 4 KB .npy / np.load", fastest(lambda: reader("a.npy").unwrap(), np_load, how), 1.00
    )
    yield extra("np.save 4 KB, against itself", fastest(np_save, np_save, how), 15e-6)
    yield extra(
        "save 4 KB .npy, atomically / np.save",
        fastest(lambda: step(Item(next(ours), array)).unwrap(), np_save, how),
        15e-6,
    )
