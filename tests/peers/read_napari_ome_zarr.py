"""Read OME-Zarr images as napari does: `... OUT PATH...`; pixels as OUT/0.npy, words as JSON."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import redirect_stdout
from importlib import import_module

import numpy as np

warnings.simplefilter("ignore")
get_reader = import_module("napari_ome_zarr").napari_get_reader

out, *paths = sys.argv[1:]
for number, path in enumerate(paths):
    with redirect_stdout(sys.stderr):
        layers = list(get_reader(path)(path))
    data, words, _ = layers[0]
    np.save(f"{out}/{number}.npy", np.asarray(data[0]))
    kept = {name: words.get(name) for name in ("scale", "name", "channel_axis")}
    kinds = [layer[2] for layer in layers]
    print(json.dumps({"kinds": kinds, "levels": len(data), **kept}, default=list))
