"""Parts of arrays, lazy arrays and functions of blocks keep their types."""

from typing import assert_type

import numpy as np

from polystore import (
    JSON,
    NPY,
    TIFF,
    Array,
    DiskConfig,
    HostArray,
    Item,
    KeyLike,
    LazyArray,
    Load,
    MapBlocks,
    MemoryConfig,
    Outcome,
    Pipeline,
    ReadOnlyConfig,
    Save,
    Saved,
    ZarrConfig,
    apply,
    compose,
    convert,
    load,
    map_blocks,
    rename,
    save,
)
from polystore.files.watching import watched

disk = DiskConfig(root="plate")
zarr = ZarrConfig(root="plate.zarr")
memory = MemoryConfig()


def halved(image: HostArray) -> HostArray:
    """Take and give an array of the host."""
    return image // 2


# Loads of a part.
assert_type(load(zarr, region=np.s_[0:1, :512]), Load[HostArray])
assert_type(load(zarr, region=slice(0, 3)), Load[HostArray])
assert_type(load(disk, region=((0, 3), (5, None))), Load[HostArray])
assert_type(load(disk, region=[slice(0, 3), (5, None)]), Load[HostArray])
assert_type(load(disk, format=TIFF, region=np.s_[:5]), Load[HostArray])
assert_type(load(memory, region=slice(2))("a").map(lambda it: it.payload), Outcome[HostArray])
assert_type(load(ReadOnlyConfig(zarr), region=slice(2)), Load[HostArray])
assert_type(load(zarr, lazy=True, region=slice(2)), Load[LazyArray])
assert_type(load(disk, format=NPY, lazy=True), Load[LazyArray])
assert_type(load(disk, format=JSON)("a").unwrap().key, str)

# Saves of a part.
assert_type(save(zarr, region=np.s_[0:1]), Save[Array | LazyArray])
assert_type(save(zarr, "replace", region=slice(0, 1)), Save[Array | LazyArray])
assert_type(
    compose(load(disk, region=slice(1)), save(zarr, region=slice(1))), Pipeline[KeyLike, Saved]
)
compose(load(disk), convert(to="jax"), save(zarr, region=slice(1)))
compose(load(disk, lazy=True), save(zarr, region=slice(1)))
assert_type(save(zarr, region=slice(1))(Item("a", np.zeros(3))), Outcome[Saved])

# Functions of blocks.
assert_type(map_blocks(halved, halo=8), MapBlocks)
assert_type(map_blocks(halved, halo=(0, 8), dtype="uint8"), MapBlocks)
pipeline = compose(load(zarr, lazy=True), map_blocks(halved, halo=8), save(zarr))
assert_type(pipeline, Pipeline[KeyLike, Saved])
compose(
    load(disk, lazy=True), map_blocks(halved), rename(suffix=""), map_blocks(halved), save(zarr)
)
compose(load(zarr, lazy=True), map_blocks(halved), convert(to="numpy"), apply(halved), save(disk))
assert_type(compose(load(zarr, lazy=True), map_blocks(halved)), Pipeline[KeyLike, Item[LazyArray]])

# Watched.
item = load(zarr, lazy=True)("a").unwrap()
assert_type(watched(item, lambda read, total: print(read / total)), Item[LazyArray])
save(zarr)(watched(item, print))
