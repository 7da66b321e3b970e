"""Pipelines go to JSON and come back equal; a wrong spec is an error that says where."""

from __future__ import annotations

import functools
import json
import pickle
import posixpath
from collections.abc import Callable
from typing import cast, get_args

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    NPY,
    PNG,
    TIFF,
    ByteStore,
    DiskConfig,
    FileFormat,
    HostArray,
    InvalidSpec,
    Json,
    MemoryConfig,
    Pipeline,
    Place,
    PngOptions,
    ReadOnlyConfig,
    Registry,
    Rename,
    Route,
    RouteConfig,
    Save,
    Source,
    TiffOptions,
    VirtualConfig,
    VirtualItem,
    ZarrConfig,
    apply,
    compose,
    convert,
    from_spec,
    is_successful,
    load,
    rename,
    save,
    to_spec,
)
from polystore.backends.disk import DISK
from polystore.configs import (
    Blosc,
    ChunkStrategy,
    Gzip,
    ObjectConfig,
    OmeOptions,
    PayloadKind,
    PlateNames,
    ZarrLayout,
    Zstd,
)
from polystore.steps.convert import Convert
from polystore.steps.load import Load

FUNCTIONS: dict[str, Callable[[str], str]] = {
    "posixpath:basename": posixpath.basename,
    "posixpath:normpath": posixpath.normpath,
}

texts = st.text(min_size=1, max_size=8)
roots = st.text("abcü /.", min_size=1, max_size=12)
sizes = st.integers(0, 2**50)
disks = st.builds(DiskConfig, roots, st.sampled_from(["atomic", "fsync"]), sizes)
shapes = st.none() | st.lists(st.integers(1, 9), max_size=3).map(tuple)
compressors = st.one_of(
    st.none(),
    st.builds(Blosc, st.sampled_from(["zstd", "lz4"]), st.integers(0, 9)),
    st.builds(Zstd, st.integers(1, 22)),
    st.builds(Gzip),
)
omes = st.builds(
    OmeOptions,
    st.sampled_from(["0.5", "0.4"]),
    st.lists(st.sampled_from("tczyx"), max_size=2),
    st.none() | st.integers(1, 4),
    st.sampled_from(["mean", "nearest"]),
)
COUNTED: tuple[str, ...] = ("field", "channel", "z", "t")
numbers = st.integers(0, 1)
firsts = numbers | st.dictionaries(st.sampled_from(COUNTED), numbers)
names = st.builds(PlateNames, texts, firsts)
zarrs = st.builds(
    ZarrConfig,
    root=roots,
    layout=st.sampled_from(ZarrLayout),
    chunks=shapes,
    shards=shapes,
    compressor=compressors,
    chunk_strategy=st.sampled_from(ChunkStrategy),
    ome=omes,
    names=st.none() | names,
    max_bytes=sizes,
    store=st.none() | disks,
)
functions = st.sampled_from(list(FUNCTIONS.values()))
linked = st.builds(evolve, disks, links_to=st.lists(disks, min_size=1, max_size=2).map(tuple))
plain = st.one_of(disks, zarrs, st.builds(MemoryConfig, texts), linked)


def made_of(inner: st.SearchStrategy[Source[object]]) -> st.SearchStrategy[Source[object]]:
    """Give stores that are made of others."""
    kinds = st.lists(st.sampled_from(get_args(PayloadKind)), max_size=2).map(tuple)
    suffixes = st.lists(st.sampled_from((".json", ".roi.zip")), max_size=2).map(tuple)
    routes = st.lists(st.builds(Route, inner, kinds, suffixes), min_size=1, max_size=2)
    bounds = st.integers(0, 9)
    index = st.lists(bounds | st.tuples(bounds, bounds), max_size=3).map(tuple)
    items = st.builds(VirtualItem, st.builds(Place, inner, texts), index)
    return st.one_of(
        st.builds(ReadOnlyConfig[object], inner),
        st.builds(RouteConfig, routes),
        st.builds(VirtualConfig, st.dictionaries(texts, items, max_size=2)),
        st.builds(VirtualConfig, functions, st.lists(texts, max_size=2).map(tuple)),
    )


stores = st.recursive(plain, made_of, max_leaves=3)
options = st.one_of(
    st.none(),
    st.builds(PngOptions, st.integers(0, 9)),
    st.builds(TiffOptions, st.sampled_from(["none", "zstd"]), st.none() | st.integers(1, 9)),
)
steps = st.one_of(
    st.builds(Load[object], stores, st.sampled_from([None, NPY, TIFF, PNG])),
    st.builds(
        Convert[object],
        st.sampled_from(["numpy", "torch", "jax"]),
        st.none() | texts,
        st.sampled_from([None, True, False]),
        st.sampled_from(["exact", "same_kind"]),
    ),
    st.builds(apply, functions),
    st.builds(Rename, st.none() | texts | functions, st.none() | texts, texts),
    st.builds(Save[object], stores, st.sampled_from(["fail", "replace", "skip"]), options),
)
pipelines = st.lists(steps, min_size=1, max_size=8).map(
    lambda some: Pipeline[object, object](tuple(some))
)


@given(st.one_of(pipelines, steps, stores))
def test_what_is_written_is_read_back_equal(value: object) -> None:
    assert from_spec(to_spec(value).unwrap(), FUNCTIONS).unwrap() == value
    text = json.dumps(to_spec(value).unwrap())
    assert from_spec(json.loads(text), FUNCTIONS).unwrap() == value


@given(stores)
def test_a_store_pickles_and_has_a_hash(store: Source[object]) -> None:
    again = pickle.loads(pickle.dumps(store))
    assert again == store
    assert hash(again) == hash(store)


def test_stores_of_others_are_plain_to_read() -> None:
    disk, zarr = DiskConfig(root="/data/plate"), ZarrConfig(root="/data/plate.zarr")
    raw: Json = {"disk": {"root": "/data/plate"}}
    assert to_spec(ReadOnlyConfig(disk)).unwrap() == {"readonly": {"inner": raw}}
    routes = RouteConfig((Route(zarr, kinds=("array",)), Route(disk, suffixes=(".json",))))
    assert to_spec(routes).unwrap() == {
        "route": {
            "routes": [
                {"store": {"zarr": {"root": "/data/plate.zarr"}}, "kinds": ["array"]},
                {"store": raw, "suffixes": [".json"]},
            ]
        }
    }
    views = VirtualConfig({"a": VirtualItem(Place(disk, "s.tif"), (1, (0, 2)))})
    item: Json = {"place": {"store": raw, "key": "s.tif"}, "index": [1, [0, 2]]}
    assert to_spec(views).unwrap() == {"virtual": {"items": {"a": item}}}
    named = VirtualConfig({"function": VirtualItem(Place(disk, "s.tif"))})
    assert from_spec(to_spec(named).unwrap()).unwrap() == named
    view = DiskConfig(root="/view", links_to=(disk,))
    assert to_spec(view).unwrap() == {
        "disk": {"root": "/view", "links_to": [{"root": "/data/plate"}]}
    }


def test_a_store_of_images_is_plain_to_read() -> None:
    image = ZarrConfig(
        root="i.zarr",
        layout=ZarrLayout.IMAGE,
        chunks=(1, 64, 64),
        shards=(),
        compressor=Zstd(level=5),
        ome=OmeOptions(axes=("z", "y", "x")),
        names=PlateNames("{row}{column}.tif"),
        store=DiskConfig(root="/data"),
    )
    assert to_spec(image).unwrap() == {
        "zarr": {
            "root": "i.zarr",
            "layout": "image",
            "chunks": [1, 64, 64],
            "shards": [],
            "compressor": {"zstd": {"level": 5}},
            "ome": {"axes": ["z", "y", "x"]},
            "names": {"template": "{row}{column}.tif"},
            "store": {"disk": {"root": "/data"}},
        }
    }
    bare = ZarrConfig(root="/z", compressor=None)
    assert to_spec(bare).unwrap() == {"zarr": {"root": "/z", "compressor": "none"}}
    assert from_spec({"zarr": {"root": "/z", "compressor": None}}).unwrap() == bare


def test_a_store_of_objects_is_plain_to_read() -> None:
    record = cast("ByteStore[object, object]", DISK)
    registry = Registry.of(evolve(record, name="objects", config=ObjectConfig)).unwrap()
    plates = ObjectConfig(url="s3://plates", options={"region": "eu", "a": "b"})
    spec: Json = {"objects": {"url": "s3://plates", "options": {"a": "b", "region": "eu"}}}
    assert to_spec(plates, registry).unwrap() == spec
    assert from_spec(spec, registry=registry).unwrap() == plates
    twice = ObjectConfig(url="s3://plates", options=(("a", "b"), ("a", "c")))
    assert isinstance(to_spec(twice, registry).failure(), InvalidSpec)
    wrong: Json = {"objects": {"url": "s3://plates", "options": {"a": 3}}}
    assert "$.objects.options.a" in from_spec(wrong, registry=registry).failure().message


def test_what_a_spec_cannot_say_of_a_store_is_no_spec() -> None:
    item = VirtualItem(Place(MemoryConfig(), "s"))
    for store in (VirtualConfig((("a", item), ("a", item))), VirtualConfig(lambda _key: None)):
        assert isinstance(to_spec(store).failure(), InvalidSpec)
        assert isinstance(to_spec(load(ReadOnlyConfig(store))).failure(), InvalidSpec)


def json_paths(value: Json, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    paths = [path]
    if isinstance(value, dict):
        for key, below in value.items():
            paths += json_paths(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            paths += json_paths(below, (*path, index))
    return paths


def replaced(value: Json, path: tuple[str | int, ...], new: Json) -> Json:
    if not path:
        return new
    copy = json.loads(json.dumps(value))
    below = copy
    for part in path[:-1]:
        below = below[part]
    below[path[-1]] = new
    return cast("Json", copy)


junk: st.SearchStrategy[Json] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts
)
junk_trees: st.SearchStrategy[Json] = st.recursive(
    junk, lambda below: st.lists(below, max_size=2) | st.dictionaries(texts, below, max_size=2)
)


@given(pipelines, junk_trees, st.data())
def test_a_damaged_spec_is_an_error_or_another_value(
    pipeline: Pipeline[object, object], junk: Json, data: st.DataObject
) -> None:
    spec = to_spec(pipeline).unwrap()
    path = data.draw(st.sampled_from(json_paths(spec)))
    outcome = from_spec(replaced(spec, path, junk), FUNCTIONS)
    if is_successful(outcome):
        again = to_spec(outcome.unwrap()).unwrap()
        assert from_spec(again, FUNCTIONS).unwrap() == outcome.unwrap()
    else:
        error = outcome.failure()
        assert isinstance(error, InvalidSpec)
        assert error.where.startswith("$")


def test_a_spec_is_short_where_nothing_is_special() -> None:
    disk, zarr = DiskConfig(root="/data/plate"), ZarrConfig(root="/data/plate.zarr")
    assert to_spec(compose(load(disk), convert(to="jax"), save(zarr))).unwrap() == {
        "pipeline": [
            {"load": {"source": {"disk": {"root": "/data/plate"}}}},
            {"convert": {"to": "jax"}},
            {"save": {"sink": {"zarr": {"root": "/data/plate.zarr"}}}},
        ]
    }


def test_what_no_other_process_could_find_has_no_spec() -> None:
    def local(key: str) -> str:
        return key

    for step in (rename(lambda key: key), rename(local), apply(local), compose(apply(local))):
        error = to_spec(step).failure()
        assert isinstance(error, InvalidSpec)
        assert "no name that another process could know" in error.message


class Gain:
    """A function with a state, which its name does not tell."""

    def applied(self, value: int) -> int:
        return value


@functools.wraps(posixpath.basename)
def wrapper(path: str) -> str:
    return path


def test_a_name_that_belies_its_bearer_is_no_spec() -> None:
    other = FileFormat[HostArray]("tiff", (".other",))
    for step in (apply(Gain().applied), apply(wrapper), load(DiskConfig(root="x"), format=other)):
        assert isinstance(to_spec(step).failure(), InvalidSpec)


def test_a_spec_of_anything_is_a_value_or_an_error() -> None:
    deep: Pipeline[object, object] = Pipeline(())
    for _ in range(5000):
        deep = Pipeline((deep,))
    unknown = Convert[object](cast("str", 3))
    for value in (deep, unknown, Convert[object]("jaxx"), None, object()):
        assert isinstance(to_spec(value).failure(), InvalidSpec)


def test_what_is_no_step_is_named_in_words() -> None:
    said = [to_spec(value).failure().message for value in (None, 3, object())]
    assert [text.split(": ")[1].split(" is ")[0] for text in said] == [
        "None",
        "a whole number",
        "an object",
    ]


def test_reading_a_spec_imports_nothing_that_it_names() -> None:
    import sys

    assert "antigravity" not in sys.modules
    outcome = from_spec({"apply": {"function": "antigravity:geohash"}})
    assert isinstance(outcome.failure(), InvalidSpec)
    assert "antigravity" not in sys.modules
