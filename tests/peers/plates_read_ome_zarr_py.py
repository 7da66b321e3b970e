"""Read plates with ome-zarr-py: `... OUT PATH...`; stitched wells as OUT/0.npy, words as JSON."""

from __future__ import annotations

import json
import sys
import warnings
from importlib import import_module

import numpy as np

warnings.simplefilter("ignore")
parse_url = import_module("ome_zarr.io").parse_url
reader = import_module("ome_zarr.reader")

out, *paths = sys.argv[1:]
for number, path in enumerate(paths):
    nodes = list(reader.Reader(parse_url(path))())
    plate = nodes[0]
    spec = next(it for it in plate.specs if isinstance(it, reader.Plate))
    np.save(f"{out}/{number}.npy", np.asarray(plate.data[0]))
    print(json.dumps({"rows": spec.row_names, "columns": spec.col_names, "wells": spec.well_paths}))
