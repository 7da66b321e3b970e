"""Write images with ngff-zarr: `... PIXELS OUT`, of both versions, with three resolutions."""

from __future__ import annotations

import sys
import warnings

warnings.simplefilter("ignore")

import ngff_zarr  # noqa: E402 - the imports of the others warn
import numpy as np  # noqa: E402

pixels, out = np.load(sys.argv[1]), sys.argv[2]
image = ngff_zarr.to_ngff_image(
    pixels,
    dims=["c", "y", "x"],
    scale={"c": 1.0, "y": 0.5, "x": 0.25},
    translation={"c": 0.0, "y": 10.0, "x": 20.0},
    axes_units={"y": "micrometer", "x": "micrometer"},
)
for version in ("0.4", "0.5"):
    scales = ngff_zarr.to_multiscales(
        image, scale_factors=[2, 4], method=ngff_zarr.Methods.DASK_BIN_SHRINK
    )
    ngff_zarr.to_ngff_zarr(f"{out}/v{version[0]}{version[2]}", scales, version=version)
print("done")
