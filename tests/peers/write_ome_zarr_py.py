"""Write images with ome-zarr-py: `... PIXELS OUT`, of both versions, and a label of one."""

from __future__ import annotations

import sys
import warnings

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402 - the imports of the others warn
import zarr  # noqa: E402
from ome_zarr.format import FormatV04, FormatV05  # noqa: E402
from ome_zarr.writer import write_image, write_labels  # noqa: E402

pixels, out = np.load(sys.argv[1]), sys.argv[2]
for name, fmt, version in (("v04", FormatV04(), 2), ("v05", FormatV05(), 3)):
    group = zarr.open_group(f"{out}/{name}", mode="w", zarr_format=version)
    window = {"min": 0, "max": 65535, "start": 0, "end": 1500}
    omero = {
        "channels": [
            {"label": label, "color": "00FF00", "window": window, "active": True}
            for label in ("DAPI", "GFP")
        ]
    }
    write_image(
        pixels,
        group,
        axes="cyx",
        fmt=fmt,
        scale={"y": 0.5, "x": 0.25},
        axes_units={"y": "micrometer", "x": "micrometer"},
        omero=omero,
    )
    label = (pixels[0] > pixels[0].mean()).astype("u1")
    write_labels(label, group, "nuclei", axes="yx", fmt=fmt)
print("done")
