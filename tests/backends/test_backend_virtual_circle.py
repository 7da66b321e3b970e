"""Virtual items that come from virtual items: in a circle, without end, or of a wrong shape."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import cast

import numpy as np
import pytest

from polystore import (
    InvalidSpec,
    Item,
    MemoryConfig,
    Outcome,
    Payload,
    Place,
    ReadOnlyConfig,
    Route,
    RouteConfig,
    Source,
    VirtualConfig,
    VirtualItem,
    compose,
    copy,
    exists,
    list_dir,
    list_files,
    load,
    save,
    stat,
)


def itself(key: str) -> VirtualItem:
    return VirtualItem(Place(VirtualConfig(itself, ("a.npy",)), key))


def by_way_of_routes(key: str) -> VirtualItem:
    circle = VirtualConfig(by_way_of_routes, ("a.npy",))
    routes = RouteConfig((Route(cast("MemoryConfig", circle)),))
    return VirtualItem(Place(ReadOnlyConfig(routes), key))


def without_end(key: str) -> VirtualItem:
    return VirtualItem(Place(VirtualConfig(without_end), f"a{key}"))


def next_one(key: str) -> VirtualItem | None:
    """Give `40.npy` as what `39.npy` is, and so on, down to an item in memory."""
    left = int(key.removesuffix(".npy")) - 1
    store = VirtualConfig(next_one) if left else MemoryConfig("end of the way")
    return VirtualItem(Place(store, f"{left}.npy"))


CIRCLES: dict[str, Source[Payload]] = {
    "itself": VirtualConfig(itself, ("a.npy",)),
    "routes": VirtualConfig(by_way_of_routes, ("a.npy",)),
    "without end": VirtualConfig(without_end, ("a.npy",)),
}


@pytest.mark.parametrize("kind", CIRCLES)
def test_an_item_that_comes_from_itself_is_no_hang_and_no_surprise(kind: str) -> None:
    circle = CIRCLES[kind]
    routes = RouteConfig((Route(cast("MemoryConfig", circle)),))
    for store in (circle, ReadOnlyConfig(circle), routes):
        outcomes: tuple[Outcome[object], ...] = (
            load(store)("a.npy"),
            load(store, lazy=True)("a.npy"),
            stat(store, "a.npy"),
            exists(store, "a.npy"),
            copy(store, "a.npy", to=MemoryConfig("no circle")),
        )
        for outcome in outcomes:
            error = outcome.failure()
            assert isinstance(error, InvalidSpec)
            assert (error.key, error.config) == ("a.npy", store)
            assert "refers to itself" in error.message
        assert list_files(store).unwrap() == ("a.npy",)


def test_two_stores_of_circles_are_two() -> None:
    one, other = VirtualConfig(itself, ("a.npy",)), VirtualConfig(by_way_of_routes, ("b.npy",))
    routes = RouteConfig(tuple(Route(cast("MemoryConfig", it)) for it in (one, other)))
    assert list_files(routes).unwrap() == ("a.npy", "b.npy")


def test_another_process_does_not_look_for_parts_without_end() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        store = VirtualConfig(itself, ("a.npy",))
        (pair,) = compose(load(store)).map(["a.npy"], pool)
    assert isinstance(pair[1].failure(), InvalidSpec)


def test_a_long_way_that_ends_is_gone() -> None:
    end = MemoryConfig("end of the way")
    save(end, if_exists="replace")(Item("0.npy", np.arange(3))).unwrap()
    for _ in range(2):
        assert load(VirtualConfig(next_one))("40.npy").unwrap().payload.tolist() == [0, 1, 2]


@pytest.mark.parametrize("items", [((1, 2, 3),), (("a",),), (3,), ("ab",)])
def test_what_are_no_pairs_are_refused(items: object) -> None:
    views = VirtualConfig(cast("tuple[tuple[str, VirtualItem], ...]", items))
    routes = RouteConfig((Route(cast("MemoryConfig", views)),))
    for store in (views, ReadOnlyConfig(views), routes):
        for outcome in (load(store)("a"), stat(store, "a"), list_files(store), list_dir(store)):
            assert isinstance(cast("Outcome[object]", outcome).failure(), InvalidSpec)
