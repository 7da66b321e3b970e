"""Saving, moving and deleting, so that one key stays one item in all stores of the routes."""

from __future__ import annotations

from contextlib import AbstractContextManager

from attrs import evolve

from polystore.backends.lacking import lacking
from polystore.backends.oserrors import exists_already
from polystore.backends.refusals import folder_in_way, in_the_way, into_itself, no_folder
from polystore.backends.route.finding import Held, held, owned, stand_in, stat
from polystore.backends.route.parts import Part, Routes, can_hold, reserved_in, takes_suffix, taking
from polystore.core.errors import (
    NotAFile,
    NotFound,
    ReadOnly,
    StorageError,
    UnsupportedOperation,
)
from polystore.core.item import Item, Saved
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import Payload
from polystore.core.records import IfExists, SaveOptions

__all__ = ["delete", "lock", "make_folder", "move", "save"]


def save(routes: Routes, key: Key, item: Item[Payload], how: SaveOptions, /) -> Outcome[Saved]:
    """Save to the store of the first route that takes the item.

    What another store holds under the key counts as there. To replace it, the new item is saved
    first, and is whole when the old one is deleted.
    """
    taker = taking(routes, key, item.payload)
    if not is_successful(taker):
        return Failure(taker.failure())
    store, part = taker.unwrap().store, taker.unwrap().part
    if store.backend.save is None:
        return Failure(_read_only(routes, key, store.backend.name))
    others = _others(routes, part, key)
    if not is_successful(others):
        return owned(routes, Failure(others.failure()))
    if others.unwrap() and how.if_exists == "fail":
        return Failure(exists_already(key, routes.config))
    if others.unwrap() and how.if_exists == "skip":
        return Success(Saved(key, routes.config, "skipped", 0))
    saved = store.backend.save(store.handle, key, item, how)
    cleared = and_then(saved, lambda _: _cleared(routes, key, others.unwrap()))
    return owned(
        routes, and_then(cleared, lambda _: saved.map(lambda it: evolve(it, config=routes.config)))
    )


def _read_only(routes: Routes, key: str, name: str) -> ReadOnly:
    message = f"The route that takes {key!r} leads to a {name} store, which can only be read."
    return ReadOnly(key, routes.config, message, "Put a route to another store before it.")


def _others(routes: Routes, part: Part, key: Key) -> Outcome[tuple[Held, ...]]:
    """Give the other stores that hold an item under the key.

    A typed error if the key cannot stand beside what they hold: one would be a folder of the other.
    """
    found: list[Held] = []
    for other in routes.parts:
        if other is part or not other.backend.reserved.isdisjoint(key.split("/")):
            continue
        stands = _beside(other, key)
        if not is_successful(stands):
            return Failure(stands.failure())
        found.extend(stands.unwrap())
    return Success(tuple(found))


def _beside(other: Part, key: Key) -> Outcome[tuple[Held, ...]]:
    stands = stand_in(other, key)
    if not is_successful(stands):
        return Failure(stands.failure())
    stat = stands.unwrap()
    if stat is None:
        above = _item_above(other, key)
        return and_then(
            above, lambda it: Success(()) if it is None else Failure(no_folder(key, None, it))
        )
    if stat.kind == "folder":
        return Failure(folder_in_way(key, None))
    return Success((Held(other, stat),) if can_hold(other, key) else ())


def _item_above(part: Part, key: Key) -> Outcome[Key | None]:
    """Give the item of a store that a key would be below; the nearest folder ends the search."""
    above = Key(key.rpartition("/")[0])
    while above:
        stands = stand_in(part, above)
        if not is_successful(stands):
            return Failure(stands.failure())
        stat = stands.unwrap()
        if stat is not None:
            is_item = stat.kind != "folder" and can_hold(part, above)
            return Success(above if is_item else None)
        above = Key(above.rpartition("/")[0])
    return Success(None)


def _cleared(routes: Routes, key: Key, old: tuple[Held, ...]) -> Outcome[None]:
    """Delete what other stores held under a key that has just been saved.

    What has come there since is another writer's, who knew of the item that we have replaced.
    """
    for each in old:
        now = stand_in(each.part, key)
        same = not is_successful(now) or now.unwrap() == each.stat
        gone = _deleted(each, key) if same else Success(None)
        if not is_successful(gone) and not isinstance(gone.failure(), NotFound):
            error = gone.failure()
            message = f"The new {key!r} is saved, and the old one could not be deleted: "
            return Failure(evolve(error, message=message + error.message))
    return Success(None)


def _deleted(each: Held, key: Key) -> Outcome[None]:
    delete = each.part.backend.delete
    if delete is None:
        return Failure(_unable(each.part, key, "delete from"))
    return delete(each.part.handle, key)


def _unable(part: Part, key: str, what: str) -> StorageError:
    name = part.backend.name
    if part.backend.save is None and part.backend.load is not None:
        return ReadOnly(
            key,
            None,
            f"{key!r} is in a {name} store, which can only be read.",
            "Change it in the store that is behind it.",
        )
    return lacking(name, what, key, None)


def delete(routes: Routes, key: Key, /) -> Outcome[None]:
    """Delete an item; or a folder, if it is empty in every store that has it."""
    found = _standing(routes, key)
    if not is_successful(found):
        return owned(routes, Failure(found.failure()))
    for each in found.unwrap():
        gone = _deleted(each, key)
        if not is_successful(gone):
            return owned(routes, gone)
    return Success(None)


def _standing(routes: Routes, key: Key) -> Outcome[tuple[Held, ...]]:
    """Give the stores that hold the item under a key, or else the folder; an error for neither."""
    found = held(routes, key)
    if not is_successful(found):
        return found
    items = tuple(each for each in found.unwrap() if not each.is_folder)
    if found.unwrap():
        return Success(items or found.unwrap())
    return and_then(stat(routes, key), lambda _: found)


def make_folder(routes: Routes, folder: Key, /) -> Outcome[None]:
    """Make a folder in the first store that has folders of its own."""
    part = next((it for it in routes.parts if it.backend.make_folder is not None), None)
    if part is None or part.backend.make_folder is None:
        names = " and ".join(it.backend.name for it in routes.parts)
        message = f"A folder is only a part of keys in these stores: {names}."
        advice = "Save an item below it, and it is there."
        return Failure(UnsupportedOperation(folder, routes.config, message, advice))
    reserved = reserved_in(part, folder, routes.config)
    if reserved is not None:
        return Failure(reserved)
    found = held(routes, folder)
    if not is_successful(found):
        return owned(routes, Failure(found.failure()))
    if any(not each.is_folder for each in found.unwrap()):
        return Failure(no_folder(folder, routes.config, folder))
    beside = _others(routes, part, folder)
    if not is_successful(beside) and not isinstance(beside.failure(), NotAFile):
        return owned(routes, Failure(beside.failure()))
    return owned(routes, part.backend.make_folder(part.handle, folder))


def move(routes: Routes, old: Key, new: Key, if_exists: IfExists, /) -> Outcome[bool]:
    """Move an item within the store that holds it, or a folder in each store that has it.

    Where the new key's suffix would take an item to another store, `UnsupportedOperation`. A folder
    that several stores have moves in one after the other, each in one step; if one fails, those
    before it are moved back.
    """
    found = _standing(routes, old)
    if not is_successful(found):
        return owned(routes, Failure(found.failure()))
    if old == new:
        return Success(True)
    if found.unwrap()[0].is_folder:
        return owned(routes, _folder_moved(routes, found.unwrap(), (old, new), if_exists))
    return owned(routes, _item_moved(routes, found.unwrap()[0].part, old, new, if_exists))


def _item_moved(
    routes: Routes, part: Part, old: Key, new: Key, if_exists: IfExists
) -> Outcome[bool]:
    takers = [each.route for each in routes.taking if each.part is part]
    if not any(takes_suffix(route, new) for route in takers):
        message = f"No route takes {new!r} to the {part.backend.name} store, where {old!r} is."
        return Failure(UnsupportedOperation(old, None, message, "Copy it, then delete it."))
    reserved = reserved_in(part, new, None)
    if reserved is not None:
        return Failure(reserved)
    if part.backend.move is None:
        return Failure(_unable(part, old, "move within"))
    others = _others(routes, part, new)
    if not is_successful(others):
        return Failure(others.failure())
    if others.unwrap() and if_exists != "replace":
        way = in_the_way(new, None, is_folder=False)
        return Success(False) if if_exists == "skip" else Failure(way)
    moved = part.backend.move(part.handle, old, new, if_exists)
    cleared = and_then(moved, lambda _: _cleared(routes, new, others.unwrap()))
    return and_then(cleared, lambda _: moved)


def _folder_moved(
    routes: Routes, found: tuple[Held, ...], keys: tuple[Key, Key], if_exists: IfExists
) -> Outcome[bool]:
    old, new = keys
    if f"{new}/".startswith(f"{old}/"):
        return Failure(into_itself(old, new, None))
    free = _free_for_folder(routes, new, if_exists)
    if not is_successful(free) or not free.unwrap():
        return free
    for number, each in enumerate(found):
        moved = _folder_moved_in(each.part, old, new)
        if not is_successful(moved):
            for before in found[:number]:
                _folder_moved_in(before.part, new, old)
            return moved
    return Success(True)


def _folder_moved_in(part: Part, old: Key, new: Key) -> Outcome[bool]:
    if part.backend.move is None:
        return Failure(_unable(part, old, "move within"))
    reserved = reserved_in(part, new, None)
    if reserved is not None:
        return Failure(reserved)
    return part.backend.move(part.handle, old, new, "fail")


def _free_for_folder(routes: Routes, new: Key, if_exists: IfExists) -> Outcome[bool]:
    """Say that nothing stands under a key, in any store, nor an item above it; `False` to skip."""
    found = held(routes, new)
    if not is_successful(found):
        return Failure(found.failure())
    if found.unwrap():
        if if_exists == "skip":
            return Success(False)
        return Failure(in_the_way(new, None, is_folder=True))
    for part in routes.parts:
        above = _item_above(part, new)
        if not is_successful(above):
            return Failure(above.failure())
        item = above.unwrap()
        if item is not None:
            return Failure(no_folder(new, None, item))
    return Success(True)


def lock(routes: Routes, key: Key, seconds: float, /) -> Outcome[AbstractContextManager[None]]:
    """Hold the lock of a key in the first store that has locks, wherever the item is."""
    for part in routes.parts:
        if part.backend.lock is not None:
            return owned(routes, part.backend.lock(part.handle, key, seconds))
    message = "None of the stores of these routes has locks."
    advice = "Route to a store on disk first, or let one process alone change the key."
    return Failure(UnsupportedOperation(key, routes.config, message, advice))
