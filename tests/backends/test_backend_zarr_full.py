"""A full disk leaves what was there: whole, listed, and with nothing beside it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from store_access import move, opened
from zarr_access import error_of, everything, got, listed, put

from polystore import IfExists, Item, Key, ZarrConfig

MODES: tuple[IfExists, ...] = ("fail", "skip", "replace")

NOISE = np.random.default_rng(0).integers(0, 2**16, (40, 50, 100), "u2")
"""400 kB that no codec makes smaller."""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of one megabyte; skips where none can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=400", "tmpfs", str(tmp_path)]
    result = subprocess.run(mount, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"cannot mount here: {result.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("chunks", [(40, 50, 100), (1, 50, 100), (1, 5, 5)])
def test_without_room_nothing_changes(root: Path, chunks: tuple[int, ...]) -> None:
    """Neither for the bytes nor, with the smallest chunks, for so many files."""
    store = ZarrConfig(root=root / "plate.zarr", chunks=chunks, shards=())
    small = ZarrConfig(root=root / "plate.zarr")
    put(small, "a", NOISE[:20]).unwrap()
    put(small, "b", NOISE[:30, :20]).unwrap()
    before = everything(store)
    for mode in MODES:
        told = put(store, "new", np.concatenate([NOISE] * 2), mode)
        assert error_of(told) == "NoSpace"
        assert everything(store) == before
    assert error_of(put(store, "a", np.concatenate([NOISE] * 2), "replace")) == "NoSpace"
    assert everything(store) == before
    assert put(small, "c", np.zeros(3)).unwrap() == "written"
    assert move(store, "b", "c", "replace").unwrap()  # takes no room but for names
    assert listed(store) == ("a", "c")


def test_a_region_without_room_changes_nothing(root: Path) -> None:
    store = ZarrConfig(root=root / "plate.zarr", chunks=(10, 50, 100), shards=())
    put(store, "a", NOISE).unwrap()
    put(ZarrConfig(root=store.root), "b", NOISE[:30]).unwrap()
    before = everything(store)
    there = opened(store)
    assert there.backend.save_region is not None
    whole = (slice(None),) * 3
    told = there.backend.save_region(there.handle, Key("a"), Item("a", NOISE + 1), whole)
    assert error_of(told) == "NoSpace"
    assert everything(store) == before
    first = (slice(0, 10), slice(None), slice(None))
    saved = there.backend.save_region(there.handle, Key("a"), Item("a", NOISE[10:20]), first)
    assert saved.unwrap().status == "written"
    assert got(store, "a")[:10].tolist() == NOISE[10:20].tolist()
