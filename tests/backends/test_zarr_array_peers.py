"""Arrays of ours under zarrs and dask, in fresh processes: what they read, and what they write."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from polystore import Blosc, Gzip, Item, ZarrConfig, Zstd, load, save
from polystore.core.payload import HostArray

PEERS = Path(__file__).parent.parent / "peers"
NUMBERS = np.random.default_rng(0).integers(0, 200, (37, 50))
DTYPES = ("?", "u1", "i2", "u2", "<u4", "i8", "f2", "f4", "f8", "c8", ">u2", ">f4")


def peer(package: str, script: str, *arguments: str) -> list[str]:
    """Run a script that uses a package; give the words that it prints."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    command = [sys.executable, str(PEERS / f"{script}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_zarrs_reads_the_same_elements(tmp_path: Path) -> None:
    cut = ZarrConfig(root=tmp_path / "a.zarr", chunks=(10, 16), shards=())
    sharded = evolve(cut, shards=(20, 48))
    stores = {
        "by default": ZarrConfig(root=cut.root),
        "chunks": cut,
        "shards": sharded,
        "zstd": evolve(cut, compressor=Zstd()),
        "gzip": evolve(sharded, compressor=Gzip()),
        "lz4": evolve(sharded, compressor=Blosc(cname="lz4", shuffle="shuffle")),
        "raw": evolve(sharded, compressor=None),
    }
    saved: dict[str, HostArray] = {}
    for name, store in stores.items():
        for number, dtype in enumerate(DTYPES):
            key = f"{name}/{number}"
            saved[key] = NUMBERS.astype(dtype)
            save(store)(Item(key, saved[key])).unwrap()
    said = [str(tmp_path / "a.zarr" / key) for key in saved]
    pipelines = peer("zarrs", "read_zarrs", str(tmp_path), *said)
    assert pipelines == ["ZarrsCodecPipeline"] * len(saved)
    for number, (key, array) in enumerate(saved.items()):
        found = np.load(tmp_path / f"{number}.npy")
        assert found.dtype.newbyteorder("=") == array.dtype.newbyteorder("="), key
        assert np.array_equal(found, array), key


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_dask_writes_blocks_of_shards_at_once_and_reads_them(
    scheduler: str, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(1).integers(0, 60000, (70, 90)).astype("u2")
    np.save(tmp_path / "pixels.npy", pixels)
    sharded = ZarrConfig(root=tmp_path / "a.zarr", chunks=(8, 16), shards=(16, 32))
    stores = {"sharded": sharded, "chunks": evolve(sharded, chunks=(35, 45), shards=())}
    for name, store in stores.items():
        save(store)(Item(name, np.zeros_like(pixels))).unwrap()
    paths = [str(tmp_path / "a.zarr" / name) for name in stores]
    peer("dask", "write_dask", scheduler, str(tmp_path / "pixels.npy"), str(tmp_path), *paths)
    for number, name in enumerate(stores):
        assert np.array_equal(np.load(tmp_path / f"{number}.npy"), pixels), name
        assert np.array_equal(load(sharded)(name).unwrap().payload, pixels), name
