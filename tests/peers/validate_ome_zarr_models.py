"""Validate OME-Zarr groups with ome-zarr-models: `... VERSION=PATH...`, a line for each."""

from __future__ import annotations

import json
import sys
import warnings

warnings.simplefilter("ignore")

import ome_zarr_models.v04 as v04  # noqa: E402 - their imports warn
import ome_zarr_models.v05 as v05  # noqa: E402
import zarr  # noqa: E402

MODELS = {
    "0.4 image": v04.Image,
    "0.4 labels": v04.Labels,
    "0.4 label": v04.ImageLabel,
    "0.5 image": v05.Image,
    "0.5 labels": v05.Labels,
    "0.5 label": v05.ImageLabel,
}

for argument in sys.argv[1:]:
    kind, _, path = argument.partition("=")
    model = MODELS[kind].from_zarr(zarr.open_group(path, mode="r"))
    print(json.dumps(model.attributes.model_dump(mode="json", by_alias=True)))
