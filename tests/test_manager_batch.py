"""Batches by name: every item's outcome, in order, whatever becomes of the others."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polystore import (
    NPY,
    AlreadyExists,
    BackendNotRegistered,
    DiskConfig,
    Dispatcher,
    FileManager,
    FunctionFailed,
    InvalidKey,
    Item,
    KeyLike,
    MemoryConfig,
    NotFound,
    Outcome,
    Payload,
    collect,
    default_registry,
    fold,
    is_successful,
)


def manager(**stores: MemoryConfig | DiskConfig) -> FileManager:
    """Give a manager whose memory stores are its own, and empty."""
    return FileManager(stores, Dispatcher(default_registry()))


def kinds(outcomes: tuple[tuple[object, Outcome[object]], ...]) -> list[str]:
    return [fold(it, lambda _: "", lambda error: type(error).__name__) for _, it in outcomes]


keys = st.lists(st.sampled_from(["a.json", "b.json", "c/d.json", "../e.json", "", "f\0"]))


@given(keys)
def test_a_batch_is_its_items_one_by_one(some: list[str]) -> None:
    """Whatever the keys are, and however often one comes: what is saved once, exists then."""
    one_by_one, batch = manager(m=MemoryConfig()), manager(m=MemoryConfig())
    items = [Item(key, i) for i, key in enumerate(some)]
    wanted = tuple((item.key, one_by_one.save(item, "m")) for item in items)
    assert batch.save_batch(items, "m", max_workers=1) == wanted
    found = batch.load_batch(some, "m", max_workers=1)
    assert [key for key, _ in found] == some
    assert [fold(it, lambda i: i.payload, str) for _, it in found] == [
        fold(one_by_one.load(key, "m"), lambda i: i.payload, str) for key in some
    ]


@pytest.mark.parametrize("workers", [None, 1, 4])
def test_outcomes_are_in_order_and_none_is_lost(workers: int | None) -> None:
    stores = manager(m=MemoryConfig())
    items = [Item(f"k{i}.json" if i % 7 else "../x", i) for i in range(100)]
    saved = stores.save_batch(items, "m", max_workers=workers)
    assert [key for key, _ in saved] == [item.key for item in items]
    assert kinds(saved) == ["" if i % 7 else "InvalidKey" for i in range(100)]
    loaded = stores.load_batch([key for key, _ in saved], "m", max_workers=workers)
    assert [fold(it, lambda i: i.payload, lambda _: None) for _, it in loaded] == [
        i if i % 7 else None for i in range(100)
    ]


def test_a_report_is_made_of_it() -> None:
    stores = manager(m=MemoryConfig())
    items = [Item("a.json", 1), Item("a.json", 2), Item("/", 3)]
    report = collect(stores.save_batch(items, "m", max_workers=1))
    assert [type(error) for error in report.errors] == [AlreadyExists, InvalidKey]
    assert report.failed == ("a.json", "/")
    again = collect(stores.save_batch(items[:2], "m", "skip"))
    assert len(again.skipped) == 2
    assert collect(stores.load_batch(["b.json"], "m")).failed == ("b.json",)


@pytest.mark.parametrize("name", ["", "n"])
def test_a_wrong_name_is_the_error_of_each_item(name: str) -> None:
    stores = manager(m=MemoryConfig())
    items = [Item("a.json", 1), Item("b.json", 2)]
    for outcomes in (stores.save_batch(items, name), stores.load_batch(["a.json", "b.json"], name)):
        assert [key for key, _ in outcomes] == ["a.json", "b.json"]
        for key, outcome in outcomes:
            error = cast("Outcome[object]", outcome).failure()
            assert isinstance(error, BackendNotRegistered)
            assert error.key == key


def breaking(count: int) -> Iterator[Item[int]]:
    for i in range(count):
        yield Item(f"{i}.json", i)
    raise OSError("the reader is gone")


@pytest.mark.parametrize("workers", [None, 1])
def test_an_iterable_that_raises_is_the_last_outcome(workers: int | None) -> None:
    stores = manager(m=MemoryConfig())
    saved = stores.save_batch(breaking(5), "m", max_workers=workers)
    assert [key for key, _ in saved] == ["0.json", "1.json", "2.json", "3.json", "4.json", ""]
    assert all(is_successful(outcome) for _, outcome in saved[:-1])
    error = saved[-1][1].failure()
    assert isinstance(error, FunctionFailed)
    assert "OSError: the reader is gone" in error.message
    assert "in breaking" in error.traceback
    assert len(stores.list_files("m").unwrap()) == 5
    keys = (item.key for item in breaking(2))
    assert kinds(stores.load_batch(keys, "m", max_workers=workers)) == ["", "", "FunctionFailed"]


@pytest.mark.parametrize("many", [None, 3, object()])
def test_what_is_no_iterable_is_an_error(many: object) -> None:
    stores = manager(m=MemoryConfig())
    ((_, loaded),) = stores.load_batch(cast("list[str]", many), "m")
    ((_, saved),) = stores.save_batch(cast("list[Item[int]]", many), "m")
    for outcome in (loaded, saved):
        assert isinstance(cast("Outcome[object]", outcome).failure(), FunctionFailed)


def test_one_key_is_no_batch() -> None:
    ((key, outcome),) = manager(m=MemoryConfig()).load_batch("a.json", "m")
    assert key == "a.json"
    assert isinstance(outcome.failure(), InvalidKey)


def test_what_is_no_item_is_an_error_between_the_others() -> None:
    stores = manager(m=MemoryConfig())
    mixed = cast("list[Item[int]]", [Item("a.json", 1), 3, None, Item("b.json", 2)])
    saved = stores.save_batch(mixed, "m")
    assert [key for key, _ in saved] == ["a.json", "", "", "b.json"]
    assert kinds(saved) == ["", "UnsupportedPayload", "UnsupportedPayload", ""]


def test_the_format_narrows_a_batch(tmp_path: Path) -> None:
    stores = manager(disk=DiskConfig(root=tmp_path))
    assert kinds(stores.save_batch([Item("a.npy", np.arange(3))], "disk")) == [""]
    ((_, outcome), (_, missing)) = stores.load_batch(["a.npy", "b.npy"], "disk", format=NPY)
    assert outcome.unwrap().payload.tolist() == [0, 1, 2]
    assert isinstance(missing.failure(), NotFound)


def test_items_that_are_made_one_by_one_are_let_go_one_by_one() -> None:
    """A batch of more than fits into memory can be saved, as it is not all held."""
    stores = FileManager({"disk": DiskConfig(root="never-made")})
    alive: list[weakref.ref[object]] = []
    most = 0

    def made() -> Iterator[Item[Payload]]:
        nonlocal most
        for i in range(50):
            array = np.zeros(10)
            alive.append(weakref.ref(array))
            yield Item(f"../{i}.npy", array)
            del array
            most = max(most, sum(it() is not None for it in alive))

    assert len(stores.save_batch(made(), "disk", max_workers=1)) == 50
    assert most < 10


def test_paths_are_keys(tmp_path: Path) -> None:
    stores = manager(disk=DiskConfig(root=tmp_path))
    stores.save(Item("a.json", 1), "disk").unwrap()
    paths: list[KeyLike] = list(tmp_path.glob("*.json"))
    ((key, outcome),) = stores.load_batch(paths, "disk")
    assert key == paths[0]
    assert outcome.unwrap().key == "a.json"
