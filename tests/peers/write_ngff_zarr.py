"""Write images with ngff-zarr: `... PIXELS OUT`, of both versions, with three resolutions."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module

import numpy as np

warnings.simplefilter("ignore")
ngff_zarr = import_module("ngff_zarr")

pixels, out = np.load(sys.argv[1]), sys.argv[2]
image = ngff_zarr.to_ngff_image(
    pixels,
    dims=["c", "y", "x"],
    scale={"c": 1.0, "y": 0.5, "x": 0.25},
    translation={"c": 0.0, "y": 10.0, "x": 20.0},
    axes_units={"y": "micrometer", "x": "micrometer"},
)
method = ngff_zarr.Methods.DASK_BIN_SHRINK
for version in ("0.4", "0.5"):
    scales = ngff_zarr.to_multiscales(image, scale_factors=[2, 4], method=method)
    ngff_zarr.to_ngff_zarr(f"{out}/v{version.replace('.', '')}", scales, version=version)
print('"done"')
