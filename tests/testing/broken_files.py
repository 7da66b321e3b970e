"""Stores of bytes, each broken in one way, with the law that must catch it."""

from __future__ import annotations

import threading
import unicodedata
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
    exists_already,
    get,
    joined,
    list_,
    lock,
    missing,
    new_dict,
    open_files,
    put,
    readable,
    stored,
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
    Readable,
    SaveOptions,
    Stat,
    Success,
    is_successful,
)
from polystore.backends.disk import DISK
from polystore.backends.memory import MEMORY, Memory

if TYPE_CHECKING:
    from polystore import Child

__all__ = ["BROKEN_FILES"]

Puts = Callable[[Files, Key, Encoded, IfExists], Outcome[bool]]
Locked = AbstractContextManager[None]
F = TypeVar("F")


def unwrap(function: F | None) -> F:
    """Give a function of a record that has it."""
    assert function is not None
    return function


def putting(put: Puts) -> ByteStore[DictConfig, Files]:
    return evolve(DICT, put=put)


def under(change: Callable[[str], str]) -> ByteStore[DictConfig, Files]:
    """Give the store that keeps bytes under another key, and finds them there."""

    def put_there(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
        return put(files, Key(change(key)), encoded, "replace" if how == "fail" else how)

    def get_there(files: Files, key: Key, /) -> Outcome[Readable]:
        return get(files, Key(change(key)))

    return evolve(DICT, put=put_there, get=get_there)


FOLDS_CASE = under(str.casefold)
NORMALISES = under(lambda key: unicodedata.normalize("NFC", key))
STRIPS = under(lambda key: "/".join(part.rstrip(". ") or part for part in key.split("/")))
CUTS_LONG_NAMES = under(lambda key: "/".join(part[-24:] for part in key.split("/")))


def _everywhere(_config: DictConfig, /) -> str:
    return "/"


TAKES_ABSOLUTE_KEYS = evolve(DICT, root=_everywhere)


def _put_in_parts(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    """Show each part as soon as it comes."""
    begun = put(files, key, Encoded((), 0), how)
    if not is_successful(begun) or not begun.unwrap():
        return begun
    for buffer in encoded.buffers:
        files.content[key] += bytes(memoryview(buffer))
    return Success(True)


TEARS = putting(_put_in_parts)


def _put_by_temporary(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    files.content["temporary"] = b""
    data = joined(encoded)
    del files.content["temporary"]
    return put(files, key, Encoded((data,), len(data)), how)


SHOWS_A_TEMPORARY = putting(_put_by_temporary)


def _put_and_forget(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    """Remove the temporary only if nothing goes wrong, and hide it till then."""
    buffers = list[bytes]()
    for buffer in encoded.buffers:
        files.content.pop("temporary", None)
        buffers.append(bytes(memoryview(buffer)))
        if len(buffers[-1]) < encoded.nbytes:
            files.content["temporary"] = b""
    files.content.pop("temporary", None)
    return put(files, key, Encoded(buffers, encoded.nbytes), how)


LEAVES_A_TEMPORARY = putting(_put_and_forget)


def _put_emptied(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    """Delete what is to be replaced before the new bytes are there."""
    if how == "replace":
        files.content.pop(key, None)
    return put(files, key, encoded, how)


EMPTIES_FIRST = putting(_put_emptied)


def _put_checked(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    """Look before the bytes come, and not after."""
    if key in files.content:
        return put(files, key, encoded, how)
    data = joined(encoded)
    with files.guard:
        return stored(files.content, key, data, "replace")


CHECKS_TOO_EARLY = putting(_put_checked)


def _put_counted(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    """Ask for the buffers twice: once for their length."""
    nbytes = sum(memoryview(buffer).nbytes for buffer in encoded.buffers)
    return put(files, key, Encoded(encoded.buffers, nbytes), how)


ASKS_TWICE = putting(_put_counted)


def _put_first(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    data = joined(encoded)[: 2**20]
    return put(files, key, Encoded((data,), len(data)), how)


KEEPS_A_MEGABYTE = putting(_put_first)


def _put_or_not(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    return put(files, key, encoded, how).map(lambda _: True)


SAYS_IT_PUT = putting(_put_or_not)


def _put_raising(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    if how == "fail" and key in files.content:
        raise FileExistsError(key)
    return put(files, key, encoded, how)


RAISES_ON_WHAT_EXISTS = putting(_put_raising)


def _put_namelessly(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    if how == "fail" and key in files.content:
        return Failure(exists_already(""))
    return put(files, key, encoded, how)


NAMES_NO_KEY = putting(_put_namelessly)


def _get_from_start(files: Files, key: Key, /) -> Outcome[Readable]:
    def from_start(source: Readable) -> Readable:
        def read_into(_offset: int, buffer: memoryview, /) -> int:
            return source.read_into(0, buffer)

        return evolve(source, read_into=read_into)

    return get(files, key).map(from_start)


READS_FROM_THE_START = evolve(DICT, get=_get_from_start)


def _get_live(files: Files, key: Key, /) -> Outcome[Readable]:
    """Look anew at each read."""

    def live(source: Readable) -> Readable:
        def read_into(offset: int, buffer: memoryview, /) -> int:
            return readable(files.content.get(key, b"")).read_into(offset, buffer)

        return evolve(source, read_into=read_into)

    return get(files, key).map(live)


FOLLOWS_WHAT_IS_REPLACED = evolve(DICT, get=_get_live)


def _get_larger(files: Files, key: Key, /) -> Outcome[Readable]:
    return get(files, key).map(lambda source: evolve(source, size=source.size + 1))


SAYS_ANOTHER_SIZE = evolve(DICT, get=_get_larger)


def _stat_half(files: Files, key: Key, /) -> Outcome[Stat]:
    if key not in files.content:
        return Failure(missing(files.content, key))
    return Success(Stat("file", len(files.content[key]) // 2, None))


STATS_HALF_THE_SIZE = evolve(DICT, stat=_stat_half)


def _put_noted(files: Files, key: Key, encoded: Encoded, how: IfExists, /) -> Outcome[bool]:
    """Note that something was replaced, or may have been."""
    if how == "replace":
        files.locks.held.add("something was replaced")
    return put(files, key, encoded, how)


def _list_torn(files: Files, folder: str, /) -> Iterator[Outcome[tuple[Key, ...]]]:
    """Miss a key since something was replaced, as who looks twice at names that change."""
    missed = "something was replaced" in files.locks.held
    for page in list_(files, folder):
        yield page.map(lambda keys: keys[1:] if missed else keys)


MISSES_BESIDE_A_WRITER = evolve(DICT, put=_put_noted, list=_list_torn)


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


ALIKE = "keys that look alike are two keys, or one of them is refused"
SEEN = "a put that is under way is not seen"
BROKE = "a put that breaks off leaves what was there"
LOCK = "a lock excludes others, and nobody waits longer than told"
LET_GO = "a lock is let go of also when its block raises"

BROKEN_FILES: dict[str, Broken] = {
    "takes keys for one that differ in case": _files(FOLDS_CASE, ALIKE),
    "takes keys for one that Unicode calls equal": _files(NORMALISES, ALIKE),
    "strips dots and spaces": _files(STRIPS, ALIKE),
    "cuts long names": _files(CUTS_LONG_NAMES, ALIKE),
    "takes absolute keys": _files(TAKES_ABSOLUTE_KEYS, "what is no key touches nothing", "/a"),
    "tears": _files(TEARS, SEEN, "getting"),
    "shows a temporary": _files(SHOWS_A_TEMPORARY, SEEN, "temporary"),
    "leaves a temporary": _files(LEAVES_A_TEMPORARY, BROKE, "temporary"),
    "deletes before it replaces": _files(EMPTIES_FIRST, BROKE, "getting"),
    "checks too early": _files(
        CHECKS_TOO_EARLY, "of two puts, one in the midst of the other, one wins", "won"
    ),
    "asks for the buffers twice": _files(ASKS_TWICE, "bytes come back as they were put", "size"),
    "keeps a megabyte": _files(KEEPS_A_MEGABYTE, "bytes come back as they were put", "size"),
    "says that it put": _files(SAYS_IT_PUT, "a skipped save changes nothing", "written"),
    "raises on what exists": _files(
        RAISES_ON_WHAT_EXISTS, "what is in the way is an error that names the key", "FileExists"
    ),
    "names no key in an error": _files(
        NAMES_NO_KEY, "what is in the way is an error that names the key", "names ''"
    ),
    "reads from the start": _files(READS_FROM_THE_START, "bytes are read at any position"),
    "follows what is replaced": _files(
        FOLLOWS_WHAT_IS_REPLACED, "what is open keeps its bytes when it is replaced or deleted"
    ),
    "says another size": _files(SAYS_ANOTHER_SIZE, "bytes come back as they were put", "size"),
    "stats half the size": _files(STATS_HALF_THE_SIZE, "Saved says what was done", "stat"),
    "misses keys beside a writer": _files(
        MISSES_BESIDE_A_WRITER, "a listing beside a writer shows all that stays", "not listed"
    ),
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
        MOVES_OVER_WHAT_IS_THERE, new_memory, "a store does what a dict does", "MoveIt"
    ),
    "copies for a move": Broken(COPIES_FOR_A_MOVE, new_memory, "a move is one step", "both"),
    "shows no folders": Broken(
        SHOWS_NO_FOLDERS, new_memory, "children show, folder by folder, what is listed"
    ),
}
