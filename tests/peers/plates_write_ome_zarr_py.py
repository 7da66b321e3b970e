"""Write plates with ome-zarr-py: `... PIXELS OUT`, one of each version, of two wells."""

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
wells = ["A/1", "B/2"]
for name, fmt in (("v04", formats.FormatV04()), ("v05", formats.FormatV05())):
    plate = zarr.open_group(f"{out}/{name}", mode="w", zarr_format=fmt.zarr_format)
    writer.write_plate_metadata(
        plate, ["A", "B"], ["1", "2", "3"], wells, fmt=fmt, field_count=2, name="theirs"
    )
    for well in wells:
        group = plate.require_group(well)
        writer.write_well_metadata(group, ["0", "1"], fmt=fmt)
        for number in range(2):
            image = group.require_group(str(number))
            writer.write_image(pixels + number, image, axes="cyx", fmt=fmt)
print('"done"')
