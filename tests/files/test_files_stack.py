"""Many files as one array: the same as the files, read alone, opened when they are read."""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from file_stores import site_of
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    DiskConfig,
    HostArray,
    InvalidSpec,
    Item,
    LazyArray,
    MemoryConfig,
    Metadata,
    NotFound,
    UnsupportedOperation,
    UnsupportedPayload,
    ZarrConfig,
    delete,
    list_files,
    load,
    load_stack,
    rename,
    save,
)

KNOWN = Metadata(axes=("y", "x"), scale=(0.5, 0.25), unit=("micrometer", "micrometer"))


def plane(number: int, dtype: str = "uint16") -> HostArray:
    return (np.arange(12, dtype=dtype).reshape(3, 4) + number).astype(dtype)


def planes_in(disk: DiskConfig, suffix: str, count: int = 12) -> HostArray:
    for number in range(count):
        save(disk)(Item(f"A01/t{number}{suffix}", plane(number), KNOWN)).unwrap()
    return np.stack([plane(number) for number in range(count)])


def whole(array: LazyArray) -> HostArray:
    return array.read(tuple(slice(None) for _ in array.spec.shape)).unwrap()


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".png"])
def test_a_stack_is_its_files_in_natural_order(tmp_path: Path, suffix: str) -> None:
    disk = DiskConfig(root=tmp_path)
    expected = planes_in(disk, suffix)
    stack = load_stack(disk, folder="A01", pattern=f"t*{suffix}", axis="t").unwrap()
    spec = stack.payload.spec
    assert (spec.shape, spec.dtype, spec.blocks[0]) == ((12, 3, 4), "uint16", 1)
    assert len(spec.blocks) == 3
    assert np.array_equal(whole(stack.payload), expected)
    assert stack.key == f"A01{suffix}"


def test_the_metadata_has_the_new_axis(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    planes_in(disk, ".tif", 2)
    stack = load_stack(disk, axis="t").unwrap()
    assert stack.payload.spec.axes == stack.metadata.axes == ("t", "y", "x")
    assert stack.metadata.scale == (1.0, 0.5, 0.25)
    assert stack.metadata.unit == ("", "micrometer", "micrometer")
    assert stack.key == "stack.tif"
    assert [event.key for event in stack.history] == ["**"]


BOUNDS = st.one_of(st.none(), st.integers(-15, 15))
REGIONS = st.tuples(*[st.tuples(BOUNDS, BOUNDS).map(lambda it: slice(*it))] * 3)


@given(REGIONS)
def test_a_region_is_the_slice(region: tuple[slice, ...]) -> None:
    site = site_of("memory", Path("stack-regions"))
    for number in range(5):
        site.dispatcher.run(save(site.config), Item(f"{number}.npy", plane(number))).unwrap()
    stack = load_stack(site.config, dispatcher=site.dispatcher).unwrap()
    expected = np.stack([plane(number) for number in range(5)])[region]
    found = stack.payload.read(region).unwrap()
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    "region", [(), (slice(0, 1),), (slice(0, 4, 2), slice(None), slice(None)), (0, 0, 0), 3]
)
def test_what_is_no_region_is_an_error(tmp_path: Path, region: object) -> None:
    disk = DiskConfig(root=tmp_path)
    planes_in(disk, ".tif", 2)
    stack = load_stack(disk).unwrap()
    outcome = stack.payload.read(cast("tuple[slice, ...]", region))
    assert isinstance(outcome.failure(), UnsupportedOperation)


def test_nothing_to_stack_is_not_found(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    planes_in(disk, ".tif", 2)
    for outcome in (
        load_stack(disk, pattern="z*.tif"),
        load_stack(disk, folder="B01"),
        load_stack(MemoryConfig(name=str(tmp_path))),
        load_stack(disk, pattern="t*.tif", recursive=False),
    ):
        assert isinstance(outcome.failure(), NotFound)


@pytest.mark.parametrize("axis", ["x", "", 3])
def test_an_axis_that_cannot_be_is_an_error(tmp_path: Path, axis: str) -> None:
    disk = DiskConfig(root=tmp_path)
    planes_in(disk, ".tif", 2)
    assert isinstance(load_stack(disk, axis=axis).failure(), InvalidSpec)


@pytest.mark.parametrize("odd", [plane(0, "uint8"), plane(0)[:2], plane(0)[None]], ids=str)
@pytest.mark.parametrize("place", ["t0", "t7", "t99"])
def test_a_file_that_differs_is_named(tmp_path: Path, odd: HostArray, place: str) -> None:
    disk = DiskConfig(root=tmp_path)
    planes_in(disk, ".tif", 3)
    save(disk, if_exists="replace")(Item(f"A01/{place}.tif", odd)).unwrap()
    error = load_stack(disk, pattern="t*.tif").failure()
    assert isinstance(error, UnsupportedPayload)
    assert error.key == ("A01/t1.tif" if place == "t0" else f"A01/{place}.tif")
    assert error.config == disk


def test_a_file_that_is_not_read_in_parts_is_checked_when_it_is_read(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    planes_in(disk, ".png", 3)
    save(disk)(Item("A01/t3.png", plane(0)[:2])).unwrap()
    stack = load_stack(disk).unwrap()
    assert np.array_equal(
        stack.payload.read((slice(0, 3), slice(None), slice(None))).unwrap()[2], plane(2)
    )
    error = stack.payload.read((slice(2, 4), slice(None), slice(None))).failure()
    assert isinstance(error, UnsupportedPayload)
    assert error.key == "A01/t3.png"


def test_what_holds_no_array_is_named(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    save(disk)(Item("a.json", 1)).unwrap()
    error = load_stack(disk).failure()
    assert isinstance(error, UnsupportedPayload)
    assert error.key == "a.json"


def test_a_file_that_is_gone_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    expected = planes_in(disk, ".tif", 4)
    stack = load_stack(disk).unwrap().payload
    delete(disk, "A01/t2.tif").unwrap()
    every = (slice(None), slice(None), slice(None))
    error = stack.read(every).failure()
    assert isinstance(error, NotFound)
    assert error.key == "A01/t2.tif"
    assert np.array_equal(stack.read((slice(0, 2), *every[1:])).unwrap(), expected[:2])


@contextmanager
def few_descriptors(more: int) -> Generator[None]:
    """Allow this process as many open files as it has, and a few more."""
    used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_file_is_held_open(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    expected = planes_in(disk, ".tif", 60)
    load_stack(disk).unwrap()  # imports what it needs
    gc.disable()  # what is freed late would be held
    try:
        with few_descriptors(12):
            stack = load_stack(disk).unwrap()
            assert np.array_equal(whole(stack.payload), expected)
    finally:
        gc.enable()


def test_a_read_opens_the_files_that_it_needs(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    expected = planes_in(disk, ".tif", 4)
    stack = load_stack(disk).unwrap().payload
    for number in (0, 1, 3):
        (tmp_path / f"A01/t{number}.tif").write_bytes(b"")
    part = stack.read((slice(2, 3), slice(1, 2), slice(None))).unwrap()
    assert np.array_equal(part, expected[2:3, 1:2])


def test_a_stack_is_saved_like_any_array(tmp_path: Path) -> None:
    disk, zarr = DiskConfig(root=tmp_path / "d"), ZarrConfig(root=tmp_path / "z.zarr")
    expected = planes_in(disk, ".tif", 5)
    stack = load_stack(disk, folder="A01", axis="t").unwrap()
    assert save(disk)(stack).unwrap().key == "A01.tif"
    assert list_files(disk, recursive=False).unwrap() == ("A01.tif",)
    saved = save(zarr)(rename(suffix="")(stack).unwrap()).unwrap()
    item = load(zarr)(saved.key).unwrap()
    assert np.array_equal(item.payload, expected)
    assert item.metadata.axes == ("t", "y", "x")


@pytest.mark.parametrize("kind", ["zarr", "shelf"])
def test_stores_of_other_kinds_stack_too(kind: str, tmp_path: Path) -> None:
    site = site_of(kind, tmp_path)
    for number in (10, 2):
        site.save(f"p/{number}.npy", number).unwrap()
    stack = load_stack(site.config, folder="p", dispatcher=site.dispatcher).unwrap()
    assert whole(stack.payload).tolist() == [[2] * 3, [10] * 3]
