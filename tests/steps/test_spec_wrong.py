"""A wrong spec is an error that says where."""

from __future__ import annotations

import pytest

from polystore import InvalidSpec, Json, from_spec

WRONG: list[tuple[Json, str, str]] = [
    (None, "$", "an object with one key"),
    ({"lode": {}}, "$", "'lode' is none of"),
    ({"load": {}}, "$.load.source", "it is missing"),
    ({"load": {"source": {"disk": {"root": 3}}}}, "$.load.source.disk.root", "3 is not text"),
    ({"load": {"source": {"disk": {"root": "x", "y": 1}}}}, "$.load.source.disk", "no field 'y'"),
    ({"disk": {"root": "x", "max_bytes": True}}, "$.disk.max_bytes", "not a whole number"),
    ({"pipeline": {}}, "$.pipeline", "a list of steps"),
    ({"pipeline": [{"convert": {"to": "jaxx"}}]}, "$.pipeline[0].convert.to", "'jax'"),
    ({"convert": {"to": "jax", "copy": "no"}}, "$.convert.copy", "'no' is not true or false"),
    ({"save": {"sink": {"disk": {"root": "x"}}, "if_exists": "ask"}}, "$.save.if_exists", "ask"),
    ({"pipeline": []}, "$.pipeline", "a list of steps"),
    ({"pipeline": [{"disk": {"root": "x"}}]}, "$.pipeline[0]", "'disk' is none of"),
    ({"load": {"source": {"load": {}}}}, "$.load.source", "'load' is none of"),
    ({"disk": {"root": "x", "a @ b": 1}}, "$.disk", "'a at b'"),
    ({"disk": {"rot": "x"}}, "$.disk",
     "no field 'rot'. Did you mean 'root'? The fields are 'root', 'durability',"),
    ({"disk": {"root": "x", "durability": "fast"}}, "$.disk.durability",
     "'fast' is none of 'atomic', 'fsync'"),
    ({"apply": {"function": "os:system"}}, "$.apply.function", "was not given to from_spec"),
    ({"rename": {"to": {"function": "os:system"}}}, "$.rename.to.function", "was not given"),
    ({"readonly": {}}, "$.readonly.inner", "it is missing"),
    ({"readonly": {"inner": {"load": {}}}}, "$.readonly.inner", "'load' is none of"),
    ({"disk": {"root": "x", "links_to": "y"}}, "$.disk.links_to", "'y' is no list"),
    ({"disk": {"root": "x", "links_to": [{"root": 1}]}}, "$.disk.links_to[0].root", "1 is not"),
    ({"route": {"routes": "disk"}}, "$.route.routes", "'disk' is no list"),
    ({"route": {"routes": [{"store": {"disk": {"root": "x"}}, "suffixes": ".json"}]}},
     "$.route.routes[0].suffixes", "'.json' is no list"),
    ({"route": {"routes": [{"store": {"disk": {"root": "x"}}, "kinds": ["arry"]}]}},
     "$.route.routes[0].kinds[0]", "arry"),
    ({"virtual": {"items": []}}, "$.virtual.items", "an object from keys to places"),
    ({"virtual": {"items": {"a": 3}}}, "$.virtual.items.a", "an object with a place"),
    ({"virtual": {"items": {"function": "os:system"}}}, "$.virtual.items.function", "not given"),
    ({"virtual": {"items": {"a": {"place": {"store": {"memory": {}}, "key": ""}, "index": [[1]]}}}},
     "$.virtual.items.a.index[0]", "[1] is no pair of numbers"),
    ({"virtual": {"items": {"a": {"place": {"store": {"memory": {"name": 1}}, "key": "b"}}}}},
     "$.virtual.items.a.place.store.memory.name", "1 is not text"),
    ({"save": {"sink": {"disk": {"root": "x"}}, "options": {"tiff": {"level": "9"}}}},
     "$.save.options.tiff.level", "'9' is not a whole number"),
    ({"zarr": {"root": "x", "layout": "imag"}}, "$.zarr.layout", "none of 'array', 'image', 'pl"),
    ({"zarr": {"root": "x", "layout": 0}}, "$.zarr.layout", "0 is none of 'array'"),
    ({"zarr": {"root": "x", "chunks": 64}}, "$.zarr.chunks", "64 is no list"),
    ({"zarr": {"root": "x", "shards": [64, True]}}, "$.zarr.shards[1]", "True is not a whole"),
    ({"zarr": {"root": "x", "compressor": "zstd"}}, "$.zarr.compressor", "one of blosc, zstd"),
    ({"zarr": {"root": "x", "compressor": {"lzma": {}}}}, "$.zarr.compressor", "'lzma' is none"),
    ({"zarr": {"root": "x", "compressor": {"zstd": 5}}}, "$.zarr.compressor.zstd", "no object of"),
    ({"zarr": {"root": "x", "compressor": {"blosc": {"cname": "x"}}}},
     "$.zarr.compressor.blosc.cname", "'x' is none of 'zstd'"),
    ({"zarr": {"root": "x", "ome": {"axes": "yx"}}}, "$.zarr.ome.axes", "'yx' is no list"),
    ({"zarr": {"root": "x", "ome": 0.5}}, "$.zarr.ome", "0.5 is no object of fields"),
    ({"zarr": {"root": "x", "names": "{row}"}}, "$.zarr.names", "no object of fields"),
    ({"zarr": {"root": "x", "store": {"dsk": {}}}}, "$.zarr.store", "'dsk' is none of disk"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "where", "why"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_spec_says_where(spec: Json, where: str, why: str) -> None:
    error = from_spec(spec).failure()
    assert isinstance(error, InvalidSpec)
    assert error.where == where
    assert why in error.message
