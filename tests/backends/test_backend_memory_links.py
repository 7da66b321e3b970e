"""Folders, links, moves and locks of the memory store."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
import pytest
from store_access import (
    children,
    delete,
    error_of,
    keys,
    link,
    link_to,
    lock,
    make_folder,
    move,
    opened,
    stat,
)

from polystore import (
    DiskConfig,
    Dispatcher,
    Item,
    MemoryConfig,
    Place,
    Stat,
    default_registry,
    handles,
    is_successful,
    load,
    save,
)
from polystore.backends.memory import Memory
from polystore.backends.memory.tree import LINKS_MAX

MEMORY = MemoryConfig(name="links")


@pytest.fixture(autouse=True)
def emptied() -> Iterator[None]:
    with handles():
        yield


def put(key: str, value: object = 1) -> None:
    save(MEMORY)(Item(key, cast("int", value))).unwrap()


def value_at(key: str) -> object:
    return load(MEMORY)(key).unwrap().payload


def test_folders_stay_until_they_are_deleted() -> None:
    make_folder(MEMORY, "made/by hand").unwrap()
    make_folder(MEMORY, "made").unwrap()
    put("saved/a")
    delete(MEMORY, "saved/a").unwrap()
    assert children(MEMORY).unwrap() == {"made": "folder", "saved": "folder"}
    assert stat(MEMORY, "saved").unwrap() == Stat("folder", None, None)
    refused = delete(MEMORY, "made")
    assert error_of(refused) == "NotAFile"
    assert "delete_tree" in refused.failure().advice
    for key in ("made/by hand", "made", "saved"):
        delete(MEMORY, key).unwrap()
    assert children(MEMORY).unwrap() == {}


def test_a_link_leads_on_wherever_it_is_moved() -> None:
    link(MEMORY, "l", "f/a").unwrap()
    assert stat(MEMORY, "l").unwrap() == Stat("broken link", None, None, "f/a")
    assert error_of(load(MEMORY)("l")) == "NotFound"
    put("f/a", 5)
    move(MEMORY, "l", "deep/er/l").unwrap()
    assert value_at("deep/er/l") == 5
    linked = stat(MEMORY, "deep/er/l").unwrap()
    assert (linked.kind, linked.link) == ("file", "f/a")
    assert linked.modified_ns == stat(MEMORY, "f/a").unwrap().modified_ns
    delete(MEMORY, "deep/er/l").unwrap()
    assert value_at("f/a") == 5


def test_a_link_to_a_folder_is_a_way_and_no_key() -> None:
    put("f/g/a")
    link(MEMORY, "l", "f").unwrap()
    link(MEMORY, "f/back", "").failure()
    link(MEMORY, "f/back", "l").unwrap()
    assert keys(MEMORY).unwrap() == ["f/g/a"]
    assert keys(MEMORY, "l").unwrap() == ["l/g/a"]
    assert children(MEMORY, "l").unwrap() == {"l/back": "link", "l/g": "folder"}
    put("l/back/l2/b", 2)
    assert value_at("f/l2/b") == 2
    assert error_of(move(MEMORY, "f", "l/below")) == "InvalidKey"
    assert move(MEMORY, "l/g", "f/g").unwrap(), "it is there already"
    assert value_at("f/g/a") == 1


def test_a_link_to_an_item_is_no_folder() -> None:
    put("a")
    link(MEMORY, "l", "a").unwrap()
    assert error_of(make_folder(MEMORY, "l")) == error_of(make_folder(MEMORY, "a"))
    assert error_of(make_folder(MEMORY, "l")) == "NotADirectory"


@pytest.mark.parametrize("target", ["gone", "f/gone", "gone/deep"])
def test_nothing_is_made_by_way_of_a_broken_link(target: str) -> None:
    make_folder(MEMORY, "f").unwrap()
    link(MEMORY, "l", target).unwrap()
    link(MEMORY, "m", "l").unwrap()
    put("a")
    for at in ("l", "m"):
        assert error_of(save(MEMORY)(Item(f"{at}/x", 1))) == "Unavailable"
        assert error_of(move(MEMORY, "a", f"{at}/x/y")) == "Unavailable"
        assert error_of(make_folder(MEMORY, f"{at}/x")) == "Unavailable"
        assert error_of(make_folder(MEMORY, at)) == "AlreadyExists"
        assert error_of(load(MEMORY)(f"{at}/x")) == "NotFound"
    assert children(MEMORY).unwrap() == {"f": "folder", "l": "link", "m": "link", "a": "file"}
    assert children(MEMORY, "f").unwrap() == {}
    make_folder(MEMORY, target).unwrap()
    put("m/new/x", 5)
    assert value_at(f"{target}/new/x") == 5


def test_links_in_a_circle_end() -> None:
    for number in range(LINKS_MAX + 2):
        link(MEMORY, f"l{number}", f"l{number + 1}").unwrap()
    put(f"l{LINKS_MAX + 2}", 7)
    assert value_at("l3") == 7
    assert stat(MEMORY, "l0").unwrap().kind == "broken link"
    link(MEMORY, "here", "here").unwrap()
    link(MEMORY, "there", "there/below").unwrap()
    for key in ("here", "there"):
        assert stat(MEMORY, key).unwrap().kind == "broken link"
        assert error_of(load(MEMORY)(key)) == "InvalidKey"
        assert error_of(save(MEMORY)(Item(f"{key}/x", 1))) == "InvalidKey"
        save(MEMORY, if_exists="replace")(Item(key, 1)).unwrap()
        assert value_at(key) == 1


def test_a_link_leads_to_no_other_store() -> None:
    for other in (MemoryConfig(name="other"), DiskConfig(root="elsewhere")):
        assert error_of(link_to(MEMORY, "l", Place(other, "a"))) == "UnsupportedOperation"
    for key in ("", "../a", "/a", "a//b"):
        assert error_of(link_to(MEMORY, "l", Place(MEMORY, key))) == "InvalidKey"
    assert children(MEMORY).unwrap() == {}


def test_a_folder_moves_with_all_below_in_one_step() -> None:
    put("here/a", 0)
    put("here/deep/b", 0)
    told, seen = threading.Event(), set[tuple[str, ...]]()

    def look() -> None:
        while not told.is_set():
            seen.add(tuple(keys(MEMORY).unwrap()))

    looker = threading.Thread(target=look)
    looker.start()
    for _ in range(300):
        move(MEMORY, "here", "there").unwrap()
        move(MEMORY, "there", "here").unwrap()
    told.set()
    looker.join()
    assert seen <= {(f"{at}/a", f"{at}/deep/b") for at in ("here", "there")}


def test_a_move_says_what_is_in_its_way() -> None:
    put("a")
    put("f/b")
    for old, new in (("a", "f"), ("f", "a"), ("a", "f/b")):
        told = move(MEMORY, old, new)
        assert error_of(told) == "AlreadyExists"
        assert "if_exists" in told.failure().advice
        assert move(MEMORY, old, new, "skip").unwrap() is False
    for old, new in (("a", "f"), ("f", "a")):
        assert error_of(move(MEMORY, old, new, "replace")) == "AlreadyExists"
    assert error_of(move(MEMORY, "f", "f/b/c")) == "InvalidKey"
    assert error_of(move(MEMORY, "none", "new/key")) == "NotFound"
    assert children(MEMORY).unwrap() == {"a": "file", "f": "folder"}


def test_a_replaced_item_is_younger() -> None:
    times: list[int | None] = []
    for _ in range(20):
        save(MEMORY, if_exists="replace")(Item("a", 1)).unwrap()
        times.append(stat(MEMORY, "a").unwrap().modified_ns)
    known = [each for each in times if each is not None]
    assert known == sorted(set(known))
    assert len(known) == 20


def test_folders_as_deep_as_can_be() -> None:
    key = "/".join("d" * 5000)
    put(key)
    assert keys(MEMORY).unwrap() == [key]
    move(MEMORY, "d", "e").unwrap()
    assert value_at(f"e{key[1:]}") == 1


def test_a_lock_excludes_its_key_alone_and_leaves_nothing() -> None:
    memory = opened(MEMORY).handle
    assert isinstance(memory, Memory)
    with lock(MEMORY, "a").unwrap():
        told = lock(MEMORY, "a", 0.01)
        assert error_of(told) == "LockTimeout"
        with lock(MEMORY, "b").unwrap():
            assert len(memory.held) == 2
    with lock(MEMORY, "a", float("inf")).unwrap():
        pass
    lock(MEMORY, "a").unwrap()  # and nobody has it
    assert is_successful(lock(MEMORY, "a"))
    assert memory.held == set()
    with pytest.raises(ZeroDivisionError), lock(MEMORY, "a").unwrap():
        raise ZeroDivisionError
    assert memory.held == set()
    assert children(MEMORY).unwrap() == {}


def test_of_many_threads_one_has_the_lock() -> None:
    put("count", 0)
    write = save(MEMORY, if_exists="replace")

    def add(_: int) -> None:
        with lock(MEMORY, "count", 60).unwrap():
            number = cast("int", value_at("count"))
            time.sleep(0)  # lets the others run here, who would lose a step without the lock
            write(Item("count", number + 1)).unwrap()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(200)))
    assert value_at("count") == 200


def test_two_names_and_two_dispatchers_are_stores_of_their_own() -> None:
    put("a")
    assert children(MemoryConfig(name="other")).unwrap() == {}
    other = Dispatcher(default_registry())
    assert error_of(other.run(load(MEMORY), "a")) == "NotFound"
    other.run(save(MEMORY), Item("a", np.zeros(1))).unwrap()
    other.pool.close()
    assert value_at("a") == 1


class Meddling:
    """A payload that uses the store it is in when it is freed."""

    def __deepcopy__(self, memo: object) -> Meddling:
        return Meddling()

    def __del__(self) -> None:
        keys(MEMORY)


def test_a_payload_that_uses_its_store_when_it_is_freed_does_no_harm() -> None:
    there = opened(MEMORY)
    put("a", Meddling())
    put("b", Meddling())
    delete(MEMORY, "a").unwrap()
    closing = threading.Thread(target=there.backend.close, args=(there.handle,), daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive(), "it waits for itself"
    assert children(MEMORY).unwrap() == {}
