"""Work under a lock: none is lost, none is left behind, nothing raises."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import NoReturn, cast

import numpy as np
import pytest
from attrs import evolve
from counting import count_in_array, count_in_json, one_more
from file_stores import SHELF, Shelf, error_of, site_of

from polystore import (
    DiskConfig,
    Dispatcher,
    Failure,
    FunctionFailed,
    HostArray,
    InvalidSpec,
    Item,
    Json,
    Key,
    LockTimeout,
    Lossy,
    MemoryConfig,
    Metadata,
    Outcome,
    Payload,
    Store,
    Success,
    UnsupportedOperation,
    UnsupportedPayload,
    ZarrConfig,
    default_registry,
    exists,
    list_dir,
    load,
    locked,
    save,
    update,
)

STORES: dict[str, Callable[[Path], Store[object, Payload]]] = {
    "disk": lambda root: DiskConfig(root=root),
    "memory": lambda root: MemoryConfig(name=str(root)),
    "zarr": lambda root: cast("Store[object, Payload]", ZarrConfig(root=root)),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store[object, Payload]:
    return STORES[request.param](tmp_path / "root")


def boom(*_given: object) -> NoReturn:
    raise ZeroDivisionError("boom")


def test_the_outcome_of_the_function_is_given(store: Store[object, Payload]) -> None:
    assert locked(store, "a", lambda: Success(3)).unwrap() == 3
    error = Lossy("k", None, "No.", "Don't.")
    failed: Outcome[int] = Failure(error)
    assert error_of(locked(store, "a", lambda: failed)) == "Lossy"
    raised = locked(store, "a", boom).failure()
    assert isinstance(raised, FunctionFailed)
    assert (raised.key, raised.config) == ("a", store)
    assert "boom" in raised.traceback
    other = cast("Callable[[], Outcome[int]]", lambda: 3)
    assert isinstance(locked(store, "a", other).failure(), UnsupportedPayload)


def test_a_lock_is_let_go_of_in_every_case(store: Store[object, Payload]) -> None:
    for fn in (boom, lambda: Success(1), lambda: Failure(Lossy("", None, "", ""))):
        locked(store, "a", cast("Callable[[], Outcome[int]]", fn))
    for stop in (KeyboardInterrupt, SystemExit):

        def stopped(stop: type[BaseException] = stop) -> Outcome[int]:
            raise stop

        with pytest.raises(stop):
            locked(store, "a", stopped)
    assert locked(store, "a", lambda: Success(1), 0).unwrap() == 1


def test_who_waits_too_long_does_not_run(store: Store[object, Payload]) -> None:
    def inner() -> Outcome[str]:
        with ThreadPoolExecutor(1) as executor:
            other = executor.submit(locked, store, "a", lambda: Success("ran"), 0.01)
            return Success(error_of(other.result()))

    assert locked(store, "a", inner).unwrap() == "LockTimeout"
    nested = locked(store, "a", lambda: locked(store, "a", lambda: Success(1), 0.01))
    assert isinstance(nested.failure(), LockTimeout)
    assert locked(store, "a", lambda: locked(store, "b", lambda: Success(1))).unwrap() == 1


@pytest.mark.parametrize("wrong", [-1, float("nan"), "10", None])
def test_a_timeout_that_is_none_is_an_error(tmp_path: Path, wrong: object) -> None:
    outcome = locked(DiskConfig(root=tmp_path), "a", lambda: Success(1), cast("float", wrong))
    assert isinstance(outcome.failure(), InvalidSpec)


def test_a_timeout_of_any_length_is_one(store: Store[object, Payload]) -> None:
    for seconds in (10**400, float("inf"), 1e300):
        assert locked(store, "a", lambda: Success(1), seconds).unwrap() == 1


def test_what_is_no_function_is_named(tmp_path: Path) -> None:
    error = locked(DiskConfig(root=tmp_path), "a", cast("Callable[[], Outcome[int]]", 3)).failure()
    assert isinstance(error, InvalidSpec)
    assert error.message.startswith("3 ")


def test_a_lock_leaves_nothing_to_be_seen(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    assert locked(disk, "p/a.npy", lambda: exists(disk, "p")).unwrap() is False
    assert list_dir(disk).unwrap() == ()


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_threads_lose_no_update(tmp_path: Path, kind: str) -> None:
    site, start = site_of(kind, tmp_path), threading.Barrier(8)

    def counted(_: int) -> set[str]:
        start.wait()
        updates = (
            update(site.config, "n.json", one_more, 60, dispatcher=site.dispatcher)
            for _ in range(10)
        )
        return {error_of(each) for each in updates}

    with ThreadPoolExecutor(8) as executor:
        assert set[str]().union(*executor.map(counted, range(8))) == {""}
    assert site.dispatcher.run(load(site.config), "n.json").unwrap().payload == 80


@pytest.mark.parametrize("count", [count_in_json, count_in_array])
def test_processes_lose_no_update(
    tmp_path: Path, processes: ForkServerContext, count: Callable[[str, int], list[str]]
) -> None:
    with processes.Pool(3) as pool:
        assert pool.starmap(count, [(str(tmp_path), 10)] * 3) == [[], [], []]
    if count is count_in_json:
        assert load(DiskConfig(root=tmp_path))("p/n.json").unwrap().payload == 30
    else:
        assert load(ZarrConfig(root=tmp_path))("n").unwrap().payload.tolist() == [29]


def test_an_update_keeps_the_metadata_and_is_told_of_in_the_history(tmp_path: Path) -> None:
    memory = MemoryConfig(name=str(tmp_path))
    known = Metadata(axes=("y", "x"), scale=(0.5, 0.5), attributes={"stain": "DAPI"})
    save(memory)(Item("a.npy", np.zeros((2, 2)), known)).unwrap()
    saved = update(memory, "a.npy", lambda _: np.ones((3, 3))).unwrap()
    assert (saved.key, saved.status) == ("a.npy", "written")
    item = load(memory)("a.npy").unwrap()
    assert item.metadata == known
    assert [type(event.step).__name__ for event in item.history].count("Apply") == 1
    update(memory, "a.npy", lambda _: np.ones(3)).unwrap()
    assert load(memory)("a.npy").unwrap().metadata == Metadata(attributes={"stain": "DAPI"})


def test_an_update_that_fails_changes_nothing(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    save(disk)(Item("a.json", {"n": 1})).unwrap()
    before = (tmp_path / "a.json").read_bytes()
    assert isinstance(update(disk, "a.json", boom).failure(), FunctionFailed)
    unheld = update(disk, "a.json", lambda _: np.zeros(3))
    assert error_of(unheld) == "UnsupportedPayload"
    assert (tmp_path / "a.json").read_bytes() == before
    (tmp_path / "broken.json").write_text("{")
    asked: list[object] = []

    def asking(payload: object) -> Json:
        asked.append(payload)
        return 1

    assert error_of(update(disk, "broken.json", asking)) == "Corrupt"
    assert error_of(update(disk, "../x.json", asking)) == "InvalidKey"
    assert asked == []
    assert update(disk, "new.json", asking).unwrap().status == "written"
    assert asked == [None]
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix) == [
        "a.json",
        "broken.json",
        "new.json",
    ]


def test_a_function_that_gives_none_wipes_nothing(store: Store[object, Payload]) -> None:

    def nothing(_: object) -> None:
        return

    save(store)(Item("a.npy", np.zeros(3))).unwrap()
    for key in ("a.npy", "new.npy"):
        error = update(store, key, nothing).failure()
        assert isinstance(error, UnsupportedPayload)
        assert (error.key, error.config) == (key, store)
        assert error.message == "The function gave None."
        assert "use delete" in error.advice
    assert exists(store, "new.npy").unwrap() is False
    assert np.array_equal(cast("HostArray", load(store)("a.npy").unwrap().payload), np.zeros(3))


def test_an_update_in_place_that_gives_none_leaves_the_file(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    save(disk)(Item("run.json", {"n": 1})).unwrap()

    def in_place(run: object) -> None:
        cast("dict[str, int]", run).update(n=2)

    assert error_of(update(disk, "run.json", in_place)) == "UnsupportedPayload"
    assert load(disk)("run.json").unwrap().payload == {"n": 1}


def test_a_store_without_locks_says_so(tmp_path: Path) -> None:
    run = Dispatcher(default_registry().extended(SHELF).unwrap())
    site = site_of("shelf", tmp_path, run)
    assert isinstance(
        locked(site.config, "a", lambda: Success(1), dispatcher=run).failure(), UnsupportedOperation
    )
    assert isinstance(
        update(site.config, "a.json", one_more, dispatcher=run).failure(), UnsupportedOperation
    )


def test_the_function_runs_between_the_taking_and_the_letting_go(tmp_path: Path) -> None:
    told: list[str] = []

    @contextmanager
    def held() -> Generator[None]:
        try:
            yield
        finally:
            told.append("let go")

    def lock(_shelf: Shelf, key: Key, seconds: float, /) -> Outcome[AbstractContextManager[None]]:
        told.append(f"took {key} within {seconds}")
        return Success(held())

    def ran() -> Outcome[None]:
        told.append("ran")
        return Success(None)

    run = Dispatcher(default_registry().extended(evolve(SHELF, lock=lock)).unwrap())
    site = site_of("shelf", tmp_path, run)
    locked(site.config, "a", ran, 2, dispatcher=run).unwrap()
    assert told == ["took a within 2", "ran", "let go"]
