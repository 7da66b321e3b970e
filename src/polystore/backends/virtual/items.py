"""The handle of a virtual store: where each key comes from, and the folders that keys are in."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from attrs import frozen

from polystore.backends.refusals import no_folder
from polystore.configs import VirtualConfig, VirtualItem
from polystore.core.errors import (
    FunctionFailed,
    InvalidSpec,
    NotAFile,
    StorageError,
    not_found,
)
from polystore.core.key import Key, near_keys, parse_key
from polystore.core.outcome import Failure, Outcome, Success, catch, guard, is_successful
from polystore.core.records import Child, Context, Place

__all__ = ["Virtual", "absent", "endless", "item_at", "missing_folder", "open_items", "parts"]


@frozen(eq=False)
class Virtual:
    """The handle: where keys come from, and what stands in each folder of the keys that are known.

    It holds no other store open: each is asked of the context when an item is read.
    """

    config: VirtualConfig
    context: Context
    find: Callable[[str], VirtualItem | None]
    folders: Mapping[str, Mapping[str, Child]]


def open_items(config: VirtualConfig, context: Context, /) -> Outcome[Virtual]:
    """Look at the keys: `InvalidKey` for what is none, `InvalidSpec` for two that exclude another.

    Where an item comes from is looked at when it is read.
    """
    given = cast("object", config.items)
    if callable(config.items):
        folders = _folders(config, config.keys)
        return folders.map(lambda it: Virtual(config, context, _function(config), it))
    if not isinstance(given, tuple) or config.keys:
        words = "takes keys only beside a function" if config.keys else "is no mapping or function"
        return Failure(_wrong(config, f"virtual.items {words}", "Give one mapping, or function."))
    if not all(map(_is_pair, config.items)):
        words = "virtual.items is a tuple of something else than pairs"
        return Failure(
            _wrong(config, words, "Give pairs of a key and a VirtualItem, or a mapping.")
        )
    items = dict(config.items)
    folders = _folders(config, [key for key, _ in config.items])
    return folders.map(lambda it: Virtual(config, context, items.get, it))


def _is_pair(given: object) -> bool:
    return isinstance(given, tuple) and len(cast("tuple[object, ...]", given)) == 2


def _function(config: VirtualConfig) -> Callable[[str], VirtualItem | None]:
    return cast("Callable[[str], VirtualItem | None]", config.items)


def _wrong(config: VirtualConfig, words: str, advice: str) -> InvalidSpec:
    return InvalidSpec("", config, f"{words}.", advice, "virtual.items")


def _folders(
    config: VirtualConfig, keys: Iterable[object]
) -> Outcome[Mapping[str, Mapping[str, Child]]]:
    """Give what stands in each folder; of keys none may be there twice, or below another."""
    folders: dict[str, dict[str, Child]] = {"": {}}
    for given in keys:
        parsed = parse_key(cast("str", given))
        if not is_successful(parsed):
            return Failure(parsed.failure())
        key = parsed.unwrap()
        if not _put(folders, key):
            words = f"The key {key!r} is there twice, or is a folder of another key"
            return Failure(_wrong(config, words, "Give each item a key that excludes no other."))
    return Success(folders)


def _put(folders: dict[str, dict[str, Child]], key: Key) -> bool:
    above = key.rpartition("/")[0]
    if above not in folders and not _make(folders, above):
        return False
    if key in folders[above] or key in folders:
        return False
    folders[above][key] = Child(key, "file")
    return True


def _make(folders: dict[str, dict[str, Child]], folder: str) -> bool:
    above = folder.rpartition("/")[0]
    if above not in folders and not _make(folders, above):
        return False
    if folder in folders[above]:  # an item: folders that are there are in `folders`
        return False
    folders[above][folder] = Child(Key(folder), "folder")
    folders[folder] = {}
    return True


def item_at(virtual: Virtual, key: str) -> Outcome[VirtualItem | None]:
    """Give where a key comes from; `FunctionFailed` if the function of the keys raises."""
    found = guard(
        lambda: virtual.find(key),
        catch(RecursionError, lambda _: endless(virtual, key)),
        catch(Exception, lambda it: _failed(it, key)),
    )
    if not is_successful(found):
        return found
    item = cast("object", found.unwrap())
    if item is None:
        return Success(None)
    if isinstance(item, VirtualItem) and isinstance(cast("object", item.place), Place):
        return found
    words = f"What {key!r} comes from is a {type(item).__name__}, and no VirtualItem of a Place"
    return Failure(_wrong(virtual.config, words, "Give VirtualItem(Place(store, key), index)."))


def endless(virtual: Virtual, key: str) -> InvalidSpec:
    """Give the error for a key that comes from itself, or by way of too many to follow."""
    message = (
        f"{key!r} refers to itself, or comes from another key by way of more of them than Python "
        "can follow."
    )
    return InvalidSpec(
        key,
        virtual.config,
        message,
        "Give it a place in a store that holds it.",
        f"virtual.items[{key!r}]",
    )


def _failed(error: Exception, key: str) -> FunctionFailed:
    return FunctionFailed(
        key,
        None,
        f"The function of the virtual items failed on {key!r}: "
        f"{traceback.format_exception_only(error)[-1].strip()}.",
        "Mend the function; the error's traceback shows where.",
        traceback.format_exc(),
    )


def absent(virtual: Virtual, key: str) -> StorageError:
    """Give the error for a key that is none of the items."""
    inside = virtual.folders.get(key)
    if inside is not None:
        return NotAFile(
            key,
            virtual.config,
            f"{key!r} is a folder of {len(inside)} keys.",
            "Load them one by one: pipeline.map(list_files(store, folder=...).unwrap()).",
        )
    above = key.rpartition("/")[0]
    return not_found(key, virtual.config, near_keys(key, virtual.folders.get(above, {})))


def missing_folder(virtual: Virtual, folder: str) -> StorageError:
    """Give the error for a folder that there is not."""
    part = folder
    while part:
        above = part.rpartition("/")[0]
        if part in virtual.folders.get(above, {}) and part not in virtual.folders:
            return no_folder(folder, virtual.config, part)
        part = above
    siblings = virtual.folders.get(folder.rpartition("/")[0], {})
    return not_found(folder, virtual.config, near_keys(folder, siblings))


def parts(config: VirtualConfig, /) -> tuple[object, ...]:
    """Give the stores that items come from; of a function, those of the keys that are listed."""
    if callable(config.items):
        found = [_if_it_works(_function(config), key) for key in config.keys]
    else:
        found = [pair[1] for pair in config.items if _is_pair(pair)]
    places = (item.place for item in found if isinstance(item, VirtualItem))
    return tuple(dict.fromkeys(place.store for place in places))


def _if_it_works(function: Callable[[str], VirtualItem | None], key: str) -> VirtualItem | None:
    outcome = guard(lambda: function(key), catch(Exception, lambda it: _failed(it, key)))
    return outcome.unwrap() if is_successful(outcome) else None
