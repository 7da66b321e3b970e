"""Stores whose locks, links, moves or processes are broken, each in one way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve
from broken_stores import Broken
from plain_stores import (
    DICT,
    DictConfig,
    Files,
    Held,
    lock,
    new_dict,
    open_files,
)
from store_makers import new_disk, new_memory

from polystore import (
    ByteStore,
    DiskConfig,
    Encoded,
    Failure,
    IfExists,
    Key,
    Outcome,
    Place,
    Reach,
    SaveOptions,
    Success,
    is_successful,
)
from polystore.backends.disk import DISK
from polystore.backends.memory import MEMORY, Memory

if TYPE_CHECKING:
    from polystore import Child

__all__ = ["BROKEN_LOCKS"]

Locked = AbstractContextManager[None]
F = TypeVar("F")


def unwrap(function: F | None) -> F:
    """Give a function of a record that has it."""
    assert function is not None
    return function


def locking(
    lock: Callable[[Files, Key, float], Outcome[Locked]],
) -> ByteStore[DictConfig, Files]:
    return evolve(DICT, lock=lock)


@contextmanager
def _nothing() -> Generator[None]:
    yield


def _lock_nothing(_files: Files, _key: Key, _seconds: float, /) -> Outcome[Locked]:
    return Success(_nothing())


EXCLUDES_NOBODY = locking(_lock_nothing)


def _lock_for_ever(files: Files, key: Key, _seconds: float, /) -> Outcome[Locked]:
    return lock(files, key, threading.TIMEOUT_MAX)


WAITS_FOR_EVER = locking(_lock_for_ever)


def _lock_at_once(files: Files, key: Key, _seconds: float, /) -> Outcome[Locked]:
    return lock(files, key, 0)


WAITS_NEVER = locking(_lock_at_once)


def _lock_and_stay(files: Files, key: Key, _seconds: float, /) -> Outcome[Locked]:
    return lock(files, key, 0).map(lambda _: _nothing())


STAYS_HELD = locking(_lock_and_stay)


@contextmanager
def _carelessly(held: Locked) -> Generator[None]:
    yield
    held.__exit__(None, None, None)


def _lock_carelessly(files: Files, key: Key, _seconds: float, /) -> Outcome[Locked]:
    return lock(files, key, 0).map(_carelessly)


STAYS_HELD_AFTER_AN_ERROR = locking(_lock_carelessly)


class _Swallowing(Held):
    """A lock that keeps what is raised under it to itself."""

    def __exit__(self, *_exception: object) -> bool:  # type: ignore[override]
        super().__exit__()
        return True


def _lock_silently(files: Files, key: Key, seconds: float, /) -> Outcome[Locked]:
    return lock(files, key, seconds).map(lambda _: _Swallowing(files.locks, key))


SWALLOWS_ERRORS = locking(_lock_silently)


def _lock_all(files: Files, _key: Key, _seconds: float, /) -> Outcome[Locked]:
    taken = lock(files, Key("all"), 0)
    return taken.alt(lambda error: evolve(error, key=_key))


HAS_ONE_LOCK_FOR_ALL = locking(_lock_all)


def _lock_as_key(files: Files, key: Key, seconds: float, /) -> Outcome[Locked]:
    """Keep the lock as a file that is listed."""
    files.content[f"{key}.lock"] = b""
    return lock(files, key, seconds)


SHOWS_ITS_LOCKS = locking(_lock_as_key)


@cache
def _locks_of_this_process() -> Files:
    return Files()


def _lock_in_process(config: DiskConfig, key: Key, seconds: float, /) -> Outcome[Locked]:
    found = lock(_locks_of_this_process(), Key(f"{config.root}/{key}"), seconds)
    return found.alt(lambda error: evolve(error, key=key))


LOCKS_IN_THIS_PROCESS = evolve(DISK, lock=_lock_in_process)


def _put_in_place(
    config: DiskConfig, key: Key, encoded: Encoded, how: IfExists, /
) -> Outcome[bool]:
    path = Path(config.root, key)
    if how != "replace" or path.is_dir():
        return unwrap(DISK.put)(config, key, encoded, how)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for buffer in encoded.buffers:
            file.write(buffer)
            file.flush()
    return Success(True)


WRITES_IN_PLACE = evolve(DISK, put=_put_in_place)


@cache
def _files_of(_config: DictConfig) -> Files:
    return Files()


def _open_again(config: DictConfig, /) -> Outcome[Files]:
    return Success(_files_of(config))


def _close_nothing(_files: Files, /) -> None:
    return None


LIVES_IN_THIS_PROCESS = evolve(DICT, reach=Reach.MACHINE, open=_open_again, close=_close_nothing)
FORGETS_WHEN_CLOSED = evolve(DICT, reach=Reach.MACHINE, open=open_files)


def _link_by_copy(memory: Memory, key: Key, place: Place, how: IfExists, /) -> Outcome[bool]:
    item = unwrap(MEMORY.load)(memory, Key(place.key), None)
    if not is_successful(item):
        return Failure(item.failure())
    saved = unwrap(MEMORY.save)(memory, key, item.unwrap(), SaveOptions(how))
    return saved.map(lambda it: it.status == "written")


COPIES_FOR_A_LINK = evolve(MEMORY, link=_link_by_copy)


def _target_of(memory: Memory, key: Key) -> Key:
    leads = unwrap(MEMORY.stat)(memory, key).map(lambda it: it.link).value_or(None)
    return key if leads is None else Key(leads)


def _delete_target(memory: Memory, key: Key, /) -> Outcome[None]:
    target = _target_of(memory, key)
    if target != key:
        unwrap(MEMORY.delete)(memory, target)
    return unwrap(MEMORY.delete)(memory, key)


DELETES_WHAT_A_LINK_LEADS_TO = evolve(MEMORY, delete=_delete_target)


def _move_over(memory: Memory, old: Key, new: Key, _how: IfExists, /) -> Outcome[bool]:
    return unwrap(MEMORY.move)(memory, old, new, "replace")


MOVES_OVER_WHAT_IS_THERE = evolve(MEMORY, move=_move_over)


def _move_copy(memory: Memory, old: Key, new: Key, how: IfExists, /) -> Outcome[bool]:
    return _link_by_copy(memory, new, Place(memory.config, old), how)


COPIES_FOR_A_MOVE = evolve(MEMORY, move=_move_copy)


def _children_below(memory: Memory, folder: str, /) -> Iterator[Outcome[tuple[Child, ...]]]:
    """Show files only."""
    for page in unwrap(MEMORY.children)(memory, folder):
        yield page.map(lambda found: tuple(it for it in found if it.kind != "folder"))


SHOWS_NO_FOLDERS = evolve(MEMORY, children=_children_below)


def _list_no_links(memory: Memory, folder: str, /) -> Iterator[Outcome[tuple[Key, ...]]]:
    for page in unwrap(MEMORY.list)(memory, folder):
        yield page.map(lambda keys: tuple(it for it in keys if _target_of(memory, it) == it))


LISTS_NO_LINKS = evolve(MEMORY, list=_list_no_links)


def _files(record: ByteStore[DictConfig, Files], law: str, seen: str = "") -> Broken:
    return Broken(record, new_dict, law, seen)


LOCK = "a lock excludes others, and nobody waits longer than told"
LET_GO = "a lock is let go of also when its block raises"

BROKEN_LOCKS: dict[str, Broken] = {
    "excludes nobody": _files(EXCLUDES_NOBODY, LOCK, "LockTimeout"),
    "waits for ever": _files(WAITS_FOR_EVER, LOCK, "did not end"),
    "waits never": _files(WAITS_NEVER, "who waits for a lock gets it when it is let go"),
    "stays held": _files(STAYS_HELD, LET_GO, "free"),
    "stays held after an error": _files(STAYS_HELD_AFTER_AN_ERROR, LET_GO, "free"),
    "swallows errors": _files(SWALLOWS_ERRORS, LET_GO, "swallowed"),
    "has one lock for all": _files(HAS_ONE_LOCK_FOR_ALL, LOCK, "free"),
    "shows its locks": _files(SHOWS_ITS_LOCKS, LOCK, "listed"),
    "locks in this process": Broken(
        LOCKS_IN_THIS_PROCESS,
        new_disk,
        "a lock holds against other processes, and who dies lets go of it",
        "LockTimeout",
    ),
    "writes in place": Broken(
        WRITES_IN_PLACE, new_disk, "a writer that is killed leaves what was there"
    ),
    "lives in this process": _files(LIVES_IN_THIS_PROCESS, "another process sees what was saved"),
    "forgets when it is closed": _files(
        FORGETS_WHEN_CLOSED, "what was saved is there when the store is opened again", "NotFound"
    ),
    "copies for a link": Broken(
        COPIES_FOR_A_LINK, new_memory, "a link leads to its target", "link"
    ),
    "deletes what a link leads to": Broken(
        DELETES_WHAT_A_LINK_LEADS_TO, new_memory, "what is done to a link leaves its target"
    ),
    "lists no links": Broken(
        LISTS_NO_LINKS,
        new_memory,
        "a link that leads nowhere is listed, in the way, and can be replaced",
        "listed",
    ),
    "moves over what is there": Broken(
        MOVES_OVER_WHAT_IS_THERE,
        new_memory,
        "a move replaces what is there only when it is told to",
        "AlreadyExists",
    ),
    "copies for a move": Broken(COPIES_FOR_A_MOVE, new_memory, "a move is one step", "both"),
    "shows no folders": Broken(
        SHOWS_NO_FOLDERS, new_memory, "children show, folder by folder, what is listed"
    ),
}
