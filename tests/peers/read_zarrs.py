"""Read arrays with zarr-python on the codecs of zarrs: `... OUT PATH...`; elements as OUT/0.npy."""

from __future__ import annotations

import sys
from importlib import import_module

import numpy as np

zarr = import_module("zarr")
zarrs = import_module("zarrs")
zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})

out, *paths = sys.argv[1:]
for number, path in enumerate(paths):
    array = zarr.open_array(path, mode="r")
    pipeline = type(array._async_array.codec_pipeline).__name__
    np.save(f"{out}/{number}.npy", array[...])
    print(f'"{pipeline}"')
