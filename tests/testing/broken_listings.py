"""Stores of items whose listings, deletions, handles or configs are broken, each in one way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar, cast

from attrs import evolve, field, frozen
from broken_stores import Broken
from plain_stores import (
    ITEMS,
    Items,
    ItemsConfig,
    keys_below,
    missing,
    new_items,
    open_items,
    stat_item,
)

from polystore import (
    Backend,
    Context,
    Failure,
    Item,
    Key,
    NotAFile,
    NotFound,
    Outcome,
    Page,
    Payload,
    Stat,
    Store,
    Success,
    is_successful,
)

__all__ = ["BROKEN_LISTINGS"]

C = TypeVar("C")


def listing(change: Callable[[Items, str, Page], Page]) -> Backend[ItemsConfig, Items]:
    """Give the store that lists something else."""

    def changed(items: Items, folder: str, /) -> Iterator[Outcome[Page]]:
        for page in keys_below(tuple(items.content), folder):
            yield page.map(lambda keys: change(items, folder, keys))

    return evolve(ITEMS, list=changed)


LISTS_TWICE = listing(lambda _items, _folder, keys: (*keys, *keys[:1]))
LISTS_ONE_PAGE = listing(lambda _items, _folder, keys: keys[:256])
LISTS_ALL_FOR_A_FOLDER = listing(lambda items, _folder, _keys: tuple(map(Key, items.content)))
LISTS_FOLDERS = listing(
    lambda _items, _folder, keys: (*keys, *{Key(k.rpartition("/")[0]) for k in keys if "/" in k})
)
LISTS_WHAT_IS_NO_KEY = listing(lambda _items, _folder, keys: (*keys, Key("../b")))


def _list_by_prefix(items: Items, folder: str, /) -> Iterator[Outcome[Page]]:
    yield Success(tuple(Key(key) for key in items.content if key.startswith(folder)))


LISTS_SIBLINGS = evolve(ITEMS, list=_list_by_prefix)


def _list_anything(items: Items, folder: str, /) -> Iterator[Outcome[Page]]:
    pages = tuple(keys_below(tuple(items.content), folder))
    everything: Outcome[Page] = Success(tuple(map(Key, items.content)))
    return (page if is_successful(page) else everything for page in pages)


LISTS_ALL_FOR_NO_FOLDER = evolve(ITEMS, list=_list_anything)


def _stat_as_file(items: Items, key: Key, /) -> Outcome[Stat]:
    return stat_item(items, key).map(lambda it: evolve(it, kind="file"))


CALLS_FOLDERS_FILES = evolve(ITEMS, stat=_stat_as_file)


def _delete_missing(items: Items, key: Key, /) -> Outcome[None]:
    items.content.pop(key, None)
    return Success(None)


DELETES_WHAT_IS_MISSING = evolve(ITEMS, delete=_delete_missing)


def _delete_nothing(items: Items, key: Key, /) -> Outcome[None]:
    return Success(None) if key in items.content else Failure(missing(items.content, key))


DELETES_NOTHING = evolve(ITEMS, delete=_delete_nothing)


def _delete_tree(items: Items, key: Key, /) -> Outcome[None]:
    error = missing(items.content, key)
    for each in [it for it in items.content if it == key or it.startswith(f"{key}/")]:
        del items.content[each]
    found = key in items.content or isinstance(error, NotAFile)
    return Success(None) if found or not isinstance(error, NotFound) else Failure(error)


DELETES_TREES = evolve(ITEMS, delete=_delete_tree)


def _close_once(items: Items, /) -> None:
    del items.content["a.npy"]


CLOSES_ONCE = evolve(ITEMS, close=_close_once)


def _open_one_for_all(config: ItemsConfig, _context: Context, /) -> Outcome[Items]:
    return Success(evolve(_ONE, config=config))


_ONE = Items(new_items())
LEAKS = evolve(ITEMS, open=_open_one_for_all)


def _open_with_something(config: ItemsConfig, context: Context, /) -> Outcome[Items]:
    opened = open_items(config, context)
    opened.unwrap().content["readme.txt"] = Item("readme.txt", "Welcome")
    return opened


IS_NEVER_EMPTY = evolve(ITEMS, open=_open_with_something)


def of_config(config: type[C]) -> Backend[C, Items]:
    """Give the store with configs of another type."""
    return cast("Backend[C, Items]", evolve(cast("Backend[object, Items]", ITEMS), config=config))


@frozen(eq=True, unsafe_hash=False)
class UnhashableConfig(Store[Payload, Payload]):
    """A config that holds a list."""

    name: list[str]


UNHASHABLE = of_config(UnhashableConfig)


def new_unhashable() -> UnhashableConfig:
    return UnhashableConfig([new_items().name])


@frozen
class ForgetfulConfig(Store[Payload, Payload]):
    """A config one of whose fields JSON cannot say: a tuple comes back as a list."""

    name: str
    tags: object = ("a", "b")


FORGETFUL = of_config(ForgetfulConfig)


def new_forgetful() -> ForgetfulConfig:
    return ForgetfulConfig(new_items().name, tags=("c",))


@frozen
class LiveConfig(Store[Payload, Payload]):
    """A config that holds what is live."""

    name: str
    lock: threading.Lock = field(factory=threading.Lock)


LIVE = of_config(LiveConfig)


def new_live() -> LiveConfig:
    return LiveConfig(new_items().name)


ONE_NAME = ItemsConfig("the same")


def same_again() -> ItemsConfig:
    return ONE_NAME


def _items(record: Backend[ItemsConfig, Items], law: str, seen: str = "") -> Broken:
    return Broken(record, new_items, law, seen)


BROKEN_LISTINGS: dict[str, Broken] = {
    "lists a key twice": _items(
        LISTS_TWICE, "what is listed is a key, and a file", "more than once"
    ),
    "lists one page": _items(LISTS_ONE_PAGE, "many keys are all listed", "300"),
    "lists all for a folder": _items(
        LISTS_ALL_FOR_A_FOLDER, "a folder lists what is below it, and no more"
    ),
    "lists folders as files": _items(LISTS_FOLDERS, "what is listed is a key, and a file"),
    "lists what is no key": _items(LISTS_WHAT_IS_NO_KEY, "what is listed is a key, and a file"),
    "lists siblings": _items(LISTS_SIBLINGS, "a folder lists what is below it, and no more"),
    "lists all for a folder that is not there": _items(
        LISTS_ALL_FOR_NO_FOLDER, "a folder that is not there has nothing in it"
    ),
    "calls folders files": _items(CALLS_FOLDERS_FILES, "a store does what a dict does", "stat"),
    "deletes what is missing": _items(
        DELETES_WHAT_IS_MISSING, "what was deleted is gone, and nothing else is", "second"
    ),
    "lists what was deleted": _items(
        DELETES_NOTHING, "what was deleted is gone, and nothing else is"
    ),
    "deletes folders with all in them": _items(DELETES_TREES, "a store does what a dict does"),
    "closes once only": _items(CLOSES_ONCE, "a handle closes twice without harm", "KeyError"),
    "is one store by two names": _items(LEAKS, "two configs are two stores"),
    "is never empty": _items(IS_NEVER_EMPTY, "a new store is empty", "readme"),
    "has a config without a hash": Broken(
        UNHASHABLE, new_unhashable, "a config is hashed, copied and pickled unharmed", "hash"
    ),
    "has a config that JSON changes": Broken(
        FORGETFUL, new_forgetful, "a config goes to JSON and back"
    ),
    "has a config that is live": Broken(
        LIVE, new_live, "a config is hashed, copied and pickled unharmed", "pickle"
    ),
    "is made of the same config twice": Broken(
        ITEMS, same_again, "two configs are two stores", "twice"
    ),
}
