"""Makers of new stores, by name, as third parties write them too."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from itertools import count
from pathlib import Path

from polystore import (
    DiskConfig,
    MemoryConfig,
    ReadOnlyConfig,
    Route,
    RouteConfig,
    ZarrConfig,
)

__all__ = ["fsynced_disk", "new_disk", "new_folder", "new_memory", "new_route", "new_zarr"]

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


def new_route() -> RouteConfig:
    return RouteConfig((Route(new_zarr(), kinds=("array",)), Route(new_disk())))


def filled_and_read_only() -> ReadOnlyConfig[object]:
    from polystore import Item, save

    disk = new_disk()
    for key, payload in (("a.json", {"a": 1}), ("b/c.txt", "text"), ("b/d.json", [1])):
        save(disk)(Item(key, payload)).unwrap()
    return ReadOnlyConfig(disk)
