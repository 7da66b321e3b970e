"""Read OME-Zarr images as napari does: `... OUT PATH...`; pixels as OUT/0.npy, words as JSON."""

from __future__ import annotations

import json
import sys
import warnings

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402 - the imports of the others warn
from napari_ome_zarr import napari_get_reader  # noqa: E402

out, *paths = sys.argv[1:]
for number, path in enumerate(paths):
    reader = napari_get_reader(path)
    if reader is None:
        raise SystemExit(f"napari has no reader for {path}")
    layers = list(reader(path))
    data, words, kind = layers[0]
    np.save(f"{out}/{number}.npy", np.asarray(data[0]))
    kept = {name: words.get(name) for name in ("scale", "name", "channel_axis", "visible")}
    kinds = [layer[2] for layer in layers]
    print(json.dumps({"kinds": kinds, "levels": len(data), **kept}, default=str))
