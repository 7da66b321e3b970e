"""Makers of new stores, by name, as third parties write them too."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np

from polystore import (
    DiskConfig,
    Item,
    MemoryConfig,
    Payload,
    Place,
    PlateNames,
    ReadOnlyConfig,
    Route,
    RouteConfig,
    VirtualConfig,
    VirtualItem,
    ZarrConfig,
    ZarrLayout,
    save,
)

__all__ = [
    "filled_and_read_only",
    "filled_and_virtual",
    "filled_plate_of_fields",
    "filled_plate_of_files",
    "fsynced_disk",
    "new_disk",
    "new_folder",
    "new_images",
    "new_memory",
    "new_route",
    "new_zarr",
]

_numbers = count()


@cache
def _folder() -> Path:
    made = tempfile.mkdtemp(prefix="polystore-laws-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


def new_folder() -> str:
    return str(_folder() / str(next(_numbers)))


def new_disk() -> DiskConfig:
    return DiskConfig(root=new_folder())


def fsynced_disk() -> DiskConfig:
    return DiskConfig(root=new_folder(), durability="fsync")


def new_memory() -> MemoryConfig:
    return MemoryConfig(name=new_folder())


def new_zarr() -> ZarrConfig:
    return ZarrConfig(root=f"{new_folder()}.zarr")


def new_images() -> ZarrConfig:
    return ZarrConfig(root=f"{new_folder()}.zarr", layout=ZarrLayout.IMAGE)


def new_route() -> RouteConfig:
    return RouteConfig((Route(new_zarr(), kinds=("array",)), Route(new_disk())))


def _filled() -> DiskConfig:
    disk = new_disk()
    number = Item("b/e.npy", np.arange(6, dtype=">i2").reshape(2, 3))
    for item in (Item("a.json", {"a": [1]}), Item("b/c.txt", "text"), number):
        save(disk)(item).unwrap()
    return disk


def filled_and_read_only() -> ReadOnlyConfig[Payload]:
    return ReadOnlyConfig(_filled())


def filled_and_virtual() -> VirtualConfig:
    place = Place(_filled(), "b/e.npy")
    return VirtualConfig({"b/0": VirtualItem(place, (0,)), "whole": VirtualItem(place)})


def filled_plate_of_fields() -> ReadOnlyConfig[Payload]:
    """Give a plate by its fields: the laws' own keys are none of a plate's to be saved under."""
    plate = ZarrConfig(root=f"{new_folder()}.zarr", layout=ZarrLayout.PLATE)
    for number, key in enumerate(("A/1/0", "A/1/1", "B/12/0")):
        save(plate)(Item(key, np.full((5, 7), number, ">u2"))).unwrap()
    return ReadOnlyConfig(plate)


def filled_plate_of_files() -> ReadOnlyConfig[Payload]:
    """Give a plate by the names of its files, of which one is lacking."""
    names = PlateNames("{row}/{column:02}_{channel}.npy")
    plate = ZarrConfig(root=f"{new_folder()}.zarr", layout=ZarrLayout.PLATE, names=names)
    for number, key in enumerate(("A/01_1.npy", "A/01_2.npy", "B/12_2.npy")):
        save(plate)(Item(key, np.full((5, 7), number, "u2"))).unwrap()
    return ReadOnlyConfig(plate)
