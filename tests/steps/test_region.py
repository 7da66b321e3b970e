"""Parts of arrays: loaded as slices of the whole, and saved as NumPy assigns them."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    DiskConfig,
    HostArray,
    InvalidSpec,
    Item,
    Json,
    LazyArray,
    Lossy,
    MemoryConfig,
    Metadata,
    NotFound,
    Payload,
    Place,
    ReadOnly,
    ReadOnlyConfig,
    Save,
    Source,
    StorageError,
    UnsupportedOperation,
    UnsupportedPayload,
    VirtualConfig,
    VirtualItem,
    ZarrConfig,
    ZarrLayout,
    compose,
    from_spec,
    is_host_array,
    load,
    save,
    to_spec,
)
from polystore.core.region import RegionLike, bounds_of
from polystore.steps.load import Load

ARRAY = np.arange(5 * 60 * 70, dtype="u2").reshape(5, 60, 70)
KNOWN = Metadata(axes=("c", "y", "x"), scale=(1.0, 0.5, 0.5), channel_names=tuple("abcde"))
REGIONS: tuple[RegionLike, ...] = (
    np.s_[1:3],
    np.s_[1:3, :10, 20:],
    (slice(-2, None), slice(None), slice(5, 999)),
    [(1, 2), slice(None, -50)],
    np.s_[2:2],
    (),
)


def indexed(region: RegionLike) -> HostArray:
    return ARRAY[tuple(slice(*pair) for pair in bounds_of(region))]


@pytest.mark.parametrize("region", REGIONS, ids=str)
@pytest.mark.parametrize("key", ["a.npy", "a.tif", "a.npz", "a", "memory.npy"])
def test_a_part_is_the_slice_of_the_whole(tmp_path: Path, key: str, region: RegionLike) -> None:
    store: Source[Payload] = cast("Source[Payload]", ZarrConfig(root=tmp_path / "a.zarr"))
    if key == "memory.npy":
        store = MemoryConfig(name=str(tmp_path))
    elif key != "a":
        store = DiskConfig(root=tmp_path)
    if key == "a.npz":
        save(DiskConfig(root=tmp_path))(Item(key, {"a": ARRAY})).unwrap()
        assert isinstance(load(store, region=region)(key).failure(), UnsupportedPayload)
        return
    save(cast("DiskConfig", store))(Item(key, ARRAY, KNOWN)).unwrap()
    item = load(store, region=region)(key).unwrap()
    whole = load(store)(key).unwrap()
    assert is_host_array(item.payload)
    assert item.payload.dtype == ARRAY.dtype
    assert np.array_equal(item.payload, indexed(region))
    assert item.metadata == evolve(
        whole.metadata,
        channel_names=tuple(whole.metadata.channel_names)[indexed_channels(region)],
    )
    step = item.history[-1].step
    assert isinstance(step, Load)
    assert cast("Load[object]", step).region == bounds_of(region)
    if key != "memory.npy":
        lazy = load(store, lazy=True, region=region)(key).unwrap()
        assert isinstance(lazy.payload, LazyArray)
        everything = tuple(slice(0, length) for length in lazy.payload.spec.shape)
        assert np.array_equal(lazy.payload.read(everything).unwrap(), indexed(region))


def indexed_channels(region: RegionLike) -> slice:
    bounds = bounds_of(region)
    return slice(*bounds[0]) if bounds else slice(None)


def test_a_part_lets_go_of_the_whole(tmp_path: Path) -> None:
    memory = MemoryConfig(name=str(tmp_path))
    save(memory)(Item("a.npy", ARRAY)).unwrap()
    part = load(memory, region=slice(0, 1))("a.npy").unwrap().payload
    part[:] = 7
    assert load(memory, region=slice(0, 1))("a.npy").unwrap().payload.max() < 60 * 70
    gc.collect()
    assert part.base is None or part.base.nbytes < ARRAY.nbytes


def test_what_is_no_region_of_the_array_is_an_error(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    save(disk)(Item("a.npy", ARRAY)).unwrap()
    save(disk)(Item("a.json", {"a": 1})).unwrap()
    error = load(disk, region=((0, 1),) * 4)("a.npy").failure()
    assert isinstance(error, InvalidSpec)
    assert (error.where, error.key, error.config) == ("load.region", "a.npy", disk)
    assert isinstance(load(disk, region=slice(1))("a.json").failure(), UnsupportedPayload)
    assert isinstance(load(disk, region=slice(1))("b.npy").failure(), NotFound)
    assert isinstance(load(disk, lazy=True, region=((0, 1),) * 4)("a.npy").failure(), InvalidSpec)


WRONG: Any = (
    3,
    "0:1",
    [3],
    slice(0, 9, 2),
    (slice(0, 1), ...),
    [(0, 1, 2)],
    [(True, 2)],
    [(0, 1.5)],
)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_region_is_named(tmp_path: Path, wrong: RegionLike) -> None:
    disk = DiskConfig(root=tmp_path)
    for where, error in (
        ("load.region", load(disk, region=wrong)("a.npy").failure()),
        ("save.region", save(disk, region=wrong)(Item("a.npy", ARRAY)).failure()),
    ):
        assert isinstance(error, InvalidSpec)
        assert error.where == where


bounds = st.tuples(st.integers(-9, 9), st.none() | st.integers(-9, 9))


@given(st.lists(bounds, max_size=4).map(tuple))
def test_a_step_with_a_region_is_a_value(pairs: tuple[tuple[int, int | None], ...]) -> None:
    disk = DiskConfig(root="/data")
    slices = tuple(slice(*pair) for pair in pairs)
    for step, same in (
        (load(disk, region=pairs), load(disk, region=slices)),
        (save(disk, region=pairs), save(disk, region=slices)),
    ):
        assert step == same
        assert hash(step) == hash(same)
        assert pickle.loads(pickle.dumps(step)) == step
        assert from_spec(to_spec(step).unwrap()).unwrap() == step
    spec: Json = {"load": {"source": {"disk": {"root": "/data"}}, "region": [[0, None], [2, 3]]}}
    assert to_spec(load(disk, region=np.s_[:, 2:3])).unwrap() == spec


@pytest.mark.parametrize("part", ["01", [[0]], [[0, "1"]], [0, 1], {"a": 1}])
def test_a_wrong_region_in_a_spec_says_where(part: Json) -> None:
    spec: Json = {"load": {"source": {"disk": {"root": "/data"}}, "region": part}}
    error = from_spec(spec).failure()
    assert isinstance(error, InvalidSpec)
    assert error.where.startswith("$.load.region")


# Saves.


def test_a_part_is_saved_as_numpy_assigns_it(tmp_path: Path) -> None:
    zarr = ZarrConfig(root=tmp_path / "a.zarr", chunks=(2, 16, 16))
    save(zarr)(Item("a", ARRAY, KNOWN)).unwrap()
    expected = ARRAY.copy()
    for region in (*REGIONS, slice(0, 5)):
        part = np.full_like(indexed(region), 7)
        expected[tuple(slice(*pair) for pair in bounds_of(region))] = part
        saved = save(zarr, region=region)(Item("a", part)).unwrap()
        assert (saved.key, saved.status, saved.nbytes) == ("a", "written", part.nbytes)
        found = load(zarr)("a").unwrap()
        assert np.array_equal(found.payload, expected)
        assert found.metadata == KNOWN


def test_a_lazy_part_of_another_store_is_saved(tmp_path: Path) -> None:
    zarr, disk = ZarrConfig(root=tmp_path / "a.zarr"), DiskConfig(root=tmp_path)
    save(zarr)(Item("a.npy", ARRAY)).unwrap()
    save(disk)(Item("a.npy", ARRAY + 1)).unwrap()
    region = np.s_[1:2, 5:9]
    pipeline = compose(load(disk, lazy=True, region=region), save(zarr, region=region))
    assert pipeline("a.npy").unwrap().status == "written"
    expected = ARRAY.copy()
    expected[1:2, 5:9] += 1
    assert np.array_equal(load(zarr)("a.npy").unwrap().payload, expected)


def test_what_does_not_fit_a_region_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    zarr = ZarrConfig(root=tmp_path / "a.zarr")
    save(zarr)(Item("a", ARRAY)).unwrap()
    into = save(zarr, region=np.s_[0:2])
    cases: list[tuple[Payload, tuple[type[StorageError], ...]]] = [
        (ARRAY[:1], (UnsupportedPayload, InvalidSpec)),
        (ARRAY[:2].astype("u1"), (Lossy,)),
        (ARRAY[:2].astype("f8"), (Lossy,)),
        (ARRAY[0], (UnsupportedPayload, InvalidSpec, UnsupportedOperation)),
        (ARRAY[:2, None], (UnsupportedPayload, InvalidSpec, UnsupportedOperation)),
    ]
    for payload, kinds in cases:
        error = into(Item("a", cast("HostArray", payload))).failure()
        assert isinstance(error, kinds)
        assert (error.key, error.config) == ("a", zarr)
    assert isinstance(into(Item("b", ARRAY[:2])).failure(), NotFound)
    text = cast("Item[HostArray]", Item("a", "text"))
    assert isinstance(into(text).failure(), UnsupportedPayload)
    assert np.array_equal(load(zarr)("a").unwrap().payload, ARRAY)


def test_a_store_without_regions_says_so(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    save(disk)(Item("a.npy", ARRAY)).unwrap()
    for store in (disk, MemoryConfig(name=str(tmp_path))):
        error = save(store, region=slice(0, 1))(Item("a.npy", ARRAY[:1])).failure()
        assert isinstance(error, UnsupportedOperation)
        assert (error.key, error.config) == ("a.npy", store)
    read_only: Save[object] = Save(cast("Any", ReadOnlyConfig(disk)), "replace", None, slice(0, 1))
    assert isinstance(read_only(Item("a.npy", ARRAY[:1])).failure(), ReadOnly)


def test_a_region_goes_with_replace_and_without_options(tmp_path: Path) -> None:
    zarr = ZarrConfig(root=tmp_path / "a.zarr")
    step = save(zarr, region=slice(0, 1))
    assert step == save(zarr, "replace", region=slice(0, 1))
    for wrong, where in (
        (evolve(step, if_exists="skip"), "save.if_exists"),
        (evolve(step, if_exists="fail"), "save.if_exists"),
        (evolve(step, options=3), "save.options"),
    ):
        error = wrong(Item("a", ARRAY[:1])).failure()
        assert isinstance(error, InvalidSpec)
        assert error.where == where


def test_virtual_items_of_a_zarr_store_are_read_in_parts(tmp_path: Path) -> None:
    zarr = ZarrConfig(root=tmp_path / "a.zarr", chunks=(1, 60, 70), shards=())
    save(zarr)(Item("a", ARRAY)).unwrap()
    views = VirtualConfig({"one": VirtualItem(Place(zarr, "a"), (3,))})
    assert np.array_equal(load(views, region=np.s_[5:7])("one").unwrap().payload, ARRAY[3, 5:7])
    for chunk in (tmp_path / "a.zarr/a/c").iterdir():
        if chunk.name != "3":
            for file in [*chunk.rglob("*")]:
                if file.is_file():
                    file.write_bytes(b"")  # what is not asked for is not read
    assert np.array_equal(load(views)("one").unwrap().payload, ARRAY[3])


# Configs.


def test_a_wrong_config_is_an_error_and_no_crash(tmp_path: Path) -> None:
    good = ZarrConfig(root=tmp_path / "a.zarr")
    wrong: list[tuple[str, Any]] = [
        ("ZarrConfig.layout", evolve(good, layout=cast("ZarrLayout", "image"))),
        ("ZarrConfig.chunks", evolve(good, chunks=(0, 4))),
        ("ZarrConfig.shards", evolve(good, shards=cast("Any", ("a",)))),
        ("ZarrConfig.compressor", evolve(good, compressor=cast("Any", "zstd"))),
        ("Blosc.level", evolve(good, compressor=evolve(cast("Any", good.compressor), level="1"))),
        ("ZarrConfig.chunk_strategy", evolve(good, chunk_strategy=cast("Any", "well"))),
        ("OmeOptions.levels", evolve(good, ome=evolve(good.ome, levels=0))),
        ("OmeOptions.version", evolve(good, ome=evolve(good.ome, version=cast("Any", 0.5)))),
        ("ZarrConfig.names", evolve(good, names=cast("Any", "{row}"))),
        ("ZarrConfig.max_bytes", evolve(good, max_bytes=-1)),
    ]
    for where, config in wrong:
        for outcome in (load(config)("a"), save(config)(Item("a", ARRAY))):
            error = outcome.failure()
            assert isinstance(error, InvalidSpec)
            assert (error.where, error.config) == (where, config)
    assert not (tmp_path / "a.zarr").exists()
