"""Validate OME-Zarr groups with ome-zarr-models: `... "0.5 image=PATH"...`, a line for each."""

from __future__ import annotations

import json
import sys
import warnings
from importlib import import_module

warnings.simplefilter("ignore")
zarr = import_module("zarr")
models = {"0.4": import_module("ome_zarr_models.v04"), "0.5": import_module("ome_zarr_models.v05")}

for argument in sys.argv[1:]:
    kind, _, path = argument.partition("=")
    version, _, what = kind.partition(" ")
    names = {
        "image": "Image",
        "labels": "Labels",
        "label": "ImageLabel",
        "plate": "HCS",
        "well": "Well",
    }
    model = getattr(models[version], names[what]).from_zarr(zarr.open_group(path, mode="r"))
    print(json.dumps(model.attributes.model_dump(mode="json", by_alias=True)))
