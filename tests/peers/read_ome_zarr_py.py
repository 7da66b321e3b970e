"""Read OME-Zarr images with ome-zarr-py: `... OUT PATH...`; pixels as OUT/0.npy, words as JSON."""

from __future__ import annotations

import json
import sys
import warnings

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402 - the imports of the others warn
from ome_zarr.io import parse_url  # noqa: E402
from ome_zarr.reader import Reader  # noqa: E402

out, *paths = sys.argv[1:]
for number, path in enumerate(paths):
    location = parse_url(path)
    nodes = list(Reader(location)())
    first = nodes[0]
    np.save(f"{out}/{number}.npy", np.asarray(first.data[0]))
    words = {
        "levels": [list(level.shape) for level in first.data],
        "axes": [axis["name"] for axis in first.metadata["axes"]],
        "scale": first.metadata["coordinateTransformations"][0][0]["scale"],
        "names": first.metadata.get("channel_names", first.metadata.get("name")),
        "nodes": len(nodes),
    }
    print(json.dumps(words, default=str))
