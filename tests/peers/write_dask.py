"""Write and read arrays with dask: `... SCHEDULER PIXELS OUT PATH...`.

The pixels go into the array at each path, a block of whole shards by each task; what is there then
is read by `dask.array.from_zarr`, and kept as OUT/0.npy.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module

import numpy as np

warnings.simplefilter("ignore")


def main() -> None:
    """Write, then read."""
    dask = import_module("dask")
    da = import_module("dask.array")
    zarr = import_module("zarr")
    scheduler, pixels, out, *paths = sys.argv[1:]
    for number, path in enumerate(paths):
        array = zarr.open_array(path, mode="r+")
        blocks = da.from_array(np.load(pixels), chunks=array.shards or array.chunks)
        with dask.config.set(scheduler=scheduler, num_workers=2):
            da.to_zarr(blocks, array)
        np.save(f"{out}/{number}.npy", da.from_zarr(path).compute())
        print(f'"{scheduler}"')


if __name__ == "__main__":  # the processes of its scheduler import this
    main()
