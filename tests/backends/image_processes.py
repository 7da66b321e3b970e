"""Images of one value at each resolution, and the processes that write them over and over."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from itertools import count
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from zarr_access import hidden_in
from zarr_processes import SPAWN

from polystore import Item, OmeOptions, ZarrConfig, ZarrLayout, list_files, load, save
from polystore.core.payload import HostArray

__all__ = [
    "LEVELS",
    "READERS",
    "SHAPE",
    "Version",
    "images_at",
    "left_after_sweep",
    "one_value",
    "save_part",
    "save_value",
    "values_of",
    "writer_at_work",
]

Version: TypeAlias = Literal["0.5", "0.4"]

SHAPE = (16, 24)
LEVELS = 3
PART = np.s_[2:9, 5:24]


def images_at(root: Path, version: Version = "0.5") -> ZarrConfig:
    """Give a store whose images have three resolutions, each of several files."""
    ome = OmeOptions(version=version, levels=LEVELS)
    return ZarrConfig(root=root, layout=ZarrLayout.IMAGE, ome=ome, chunks=(8, 24), shards=())


def save_value(store: ZarrConfig, value: int, key: str = "img") -> None:
    """Save an image that has one value everywhere, in place of what is there."""
    image = Item(key, np.full(SHAPE, value, "u2"))
    save(store, if_exists="replace")(image).unwrap()


def save_part(store: ZarrConfig, value: int) -> None:
    """Give all pixels of an image a value, by one region."""
    save(store, region=np.s_[:, :])(Item("img", np.full(SHAPE, value, "u2"))).unwrap()


def one_value(array: HostArray) -> int:
    values: set[int] = set(array.ravel().tolist())
    assert len(values) == 1, f"a mixture of {values}"
    return values.pop()


def _whole(store: ZarrConfig, key: str = "img") -> int:
    return one_value(load(store)(key).unwrap().payload)


def _level(store: ZarrConfig) -> int:
    level = load(store)("img/1").unwrap()
    assert level.metadata.axes == ("y", "x"), "its image did not say what it is"
    return one_value(level.payload)


def _lazy(store: ZarrConfig) -> int:
    lazy = load(store, lazy=True)("img").unwrap().payload
    first = one_value(lazy.read(np.s_[:5, :]).unwrap())
    assert one_value(lazy.read(np.s_[5:, 3:]).unwrap()) == first
    return first


def _region(store: ZarrConfig) -> int:
    return one_value(load(store, region=PART)("img").unwrap().payload)


READERS: dict[str, Callable[[ZarrConfig], int]] = {
    "whole": _whole,
    "a level": _level,
    "lazy": _lazy,
    "a region": _region,
}


def values_of(store: ZarrConfig, key: str = "img") -> list[int]:
    """Give the values of each resolution."""
    return [_whole(store, f"{key}/{number}") for number in range(LEVELS)]


def left_after_sweep(store: ZarrConfig) -> list[Path]:
    """Give what stays hidden once everything that was left is old, and was swept by listings."""
    for path in hidden_in(store):
        os.utime(path, (0, 0), follow_symlinks=False)
    for folder in ("", "img/labels"):  # an image is not entered unasked
        list_files(store, folder=folder)
    return hidden_in(store)


def _write_until_told(store: ZarrConfig, told: Event, ready: Event) -> None:
    for value in count(1):
        save_value(store, value) if value % 4 else save_part(store, value)
        ready.set()
        if told.is_set():
            return


@contextmanager
def writer_at_work(store: ZarrConfig) -> Generator[None]:
    """Have a process replace the image, and write regions of it, with ever greater values."""
    told, ready = SPAWN.Event(), SPAWN.Event()
    writer = SPAWN.Process(target=partial(_write_until_told, store, told, ready))
    writer.start()
    try:
        ready.wait()
        yield
    finally:
        told.set()
        writer.join()
    assert writer.exitcode == 0
