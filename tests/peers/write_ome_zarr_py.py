"""Write images with ome-zarr-py: `... PIXELS OUT`, of both versions, and a label of each."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module

import numpy as np

warnings.simplefilter("ignore")
zarr = import_module("zarr")
formats = import_module("ome_zarr.format")
writer = import_module("ome_zarr.writer")

pixels, out = np.load(sys.argv[1]), sys.argv[2]
window = {"min": 0, "max": 65535, "start": 0, "end": 1500}
shown = {"color": "00FF00", "window": window, "active": True}
for name, fmt in (("v04", formats.FormatV04()), ("v05", formats.FormatV05())):
    group = zarr.open_group(f"{out}/{name}", mode="w", zarr_format=fmt.zarr_format)
    writer.write_image(
        pixels,
        group,
        axes="cyx",
        fmt=fmt,
        scale={"y": 0.5, "x": 0.25},
        axes_units={"y": "micrometer", "x": "micrometer"},
        omero={"channels": [{"label": label, **shown} for label in ("DAPI", "GFP")]},
    )
    label = (pixels[0] > pixels[0].mean()).astype("u1")
    writer.write_labels(label, group, "nuclei", axes="yx", fmt=fmt)
print('"done"')
