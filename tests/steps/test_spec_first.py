from __future__ import annotations

import json

from polystore import Json, PlateNames, ZarrConfig, from_spec, to_spec


def test_first_numbers_by_name_are_plain_to_read() -> None:
    plate = ZarrConfig(root="/p", names=PlateNames("{row}{column}.tif", {"z": 2, "field": 0}))
    spec: Json = {
        "zarr": {
            "root": "/p",
            "names": {"template": "{row}{column}.tif", "first": {"field": 0, "z": 2}},
        }
    }
    assert to_spec(plate).unwrap() == spec
    assert from_spec(json.loads(json.dumps(spec))).unwrap() == plate
    wrong: Json = {"zarr": {"root": "/p", "names": {"template": "", "first": {"field": "0"}}}}
    assert "$.zarr.names.first.field" in from_spec(wrong).failure().message
