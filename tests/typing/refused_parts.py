"""Wrong uses of parts of arrays, lazy arrays and functions of blocks."""

import numpy as np

from polystore import (
    JSON,
    DiskConfig,
    HostArray,
    Item,
    MemoryConfig,
    ReadOnlyConfig,
    TiffOptions,
    ZarrConfig,
    apply,
    compose,
    load,
    map_blocks,
    save,
)

disk = DiskConfig(root="plate")
zarr = ZarrConfig(root="plate.zarr")
memory = MemoryConfig()


def halved(image: HostArray) -> HostArray:
    """Take and give an array of the host."""
    return image // 2


def mean(image: HostArray) -> float:
    """Give a number."""
    return float(image.mean())


def upper(text: str) -> str:
    """Take and give a text."""
    return text.upper()


# Regions.
load(zarr, region=3)  # refused
load(zarr, region="0:1")  # refused
load(zarr, region=(0, 1))  # refused
load(zarr, region=(slice(0, 1), ...))  # refused
load(zarr, region=[(0, 1, 2)])  # refused
load(disk, format=JSON, region=slice(0, 1))  # refused
compose(load(disk, region=slice(0, 1)), apply(upper))  # refused
save(zarr, region=3)  # refused
save(zarr, if_exists="skip", region=slice(0, 1))  # refused
save(zarr, if_exists="fail", region=slice(0, 1))  # refused
save(zarr, region=slice(0, 1), options=TiffOptions())  # refused
save(ReadOnlyConfig(zarr), region=slice(0, 1))  # refused
compose(load(disk), save(disk, region=slice(0, 1)))  # refused
compose(load(disk, format=JSON), save(zarr, region=slice(0, 1)))  # refused
save(disk, region=slice(0, 1))(Item("a.json", {"a": 1}))  # refused

# Lazy arrays.
compose(load(disk, lazy=True), apply(halved), save(zarr))  # refused
number: HostArray = load(disk, lazy=True)("a").unwrap().payload  # refused

# Functions of blocks.
map_blocks(upper)  # refused
map_blocks(mean)  # refused
map_blocks(halved, halo="8")  # refused
map_blocks(halved, halo=0.5)  # refused
map_blocks(halved, dtype=np.uint8)  # refused
compose(load(zarr), map_blocks(halved), save(zarr))  # refused
compose(load(disk), map_blocks(halved), save(disk))  # refused
compose(load(disk, region=slice(0, 1)), map_blocks(halved), save(disk))  # refused
map_blocks(halved)(Item("a", np.zeros(3)))  # refused
