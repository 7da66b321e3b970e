"""Read OME-Zarr images with ome-zarr-py: `... OUT PATH...`; pixels as OUT/0.npy, words as JSON."""

from __future__ import annotations

import json
import sys
import warnings
from importlib import import_module

import numpy as np

warnings.simplefilter("ignore")
parse_url = import_module("ome_zarr.io").parse_url
reader = import_module("ome_zarr.reader").Reader

out, *paths = sys.argv[1:]
for number, path in enumerate(paths):
    nodes = list(reader(parse_url(path))())
    first = nodes[0]
    np.save(f"{out}/{number}.npy", np.asarray(first.data[0]))
    words = {
        "levels": [list(level.shape) for level in first.data],
        "axes": [axis["name"] for axis in first.metadata["axes"]],
        "scale": first.metadata["coordinateTransformations"][0][0]["scale"],
        "names": first.metadata.get("channel_names"),
        "nodes": len(nodes),
    }
    print(json.dumps(words))
