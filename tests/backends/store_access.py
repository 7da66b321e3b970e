"""What the tests of stores share: each function of a record, on a config; and two stores compared.

Two stores agree if the same operations on both have the same outcomes, and leave the same behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TypeAlias

import numpy as np
from attrs import frozen

from polystore import (
    DiskConfig,
    Dispatcher,
    HostArray,
    IfExists,
    Item,
    Key,
    Outcome,
    Source,
    Stat,
    Store,
    Success,
    ZarrConfig,
    fold,
    is_successful,
    load,
    save,
)
from polystore.core.records import Child, Opened, Place
from polystore.dispatch import default_dispatcher

Config: TypeAlias = Store[object, HostArray]
"""A store that may be saved to and loaded from."""

Answer: TypeAlias = object
"""What an operation gave, as far as two stores must agree: a value, or the name of an error."""


def opened(store: object, dispatcher: Dispatcher | None = None) -> Opened:
    return (dispatcher or default_dispatcher()).open(store).unwrap()


def stat(store: Source[object], key: str) -> Outcome[Stat]:
    there = opened(store)
    assert there.backend.stat is not None
    return there.backend.stat(there.handle, Key(key))


def delete(store: object, key: str) -> Outcome[None]:
    there = opened(store)
    assert there.backend.delete is not None
    return there.backend.delete(there.handle, Key(key))


def move(store: object, old: str, new: str, if_exists: IfExists = "fail") -> Outcome[bool]:
    there = opened(store)
    assert there.backend.move is not None
    return there.backend.move(there.handle, Key(old), Key(new), if_exists)


def make_folder(store: object, key: str) -> Outcome[None]:
    there = opened(store)
    assert there.backend.make_folder is not None
    return there.backend.make_folder(there.handle, Key(key))


def link(store: Source[object], key: str, to: str, if_exists: IfExists = "fail") -> Outcome[bool]:
    return link_to(store, key, Place(store, to), if_exists)


def link_to(store: object, key: str, place: Place, if_exists: IfExists = "fail") -> Outcome[bool]:
    there = opened(store)
    assert there.backend.link is not None
    return there.backend.link(there.handle, Key(key), place, if_exists)


def lock(store: object, key: str, seconds: float = 0) -> Outcome[AbstractContextManager[None]]:
    there = opened(store)
    assert there.backend.lock is not None
    return there.backend.lock(there.handle, Key(key), seconds)


def children(store: object, folder: str = "") -> Outcome[dict[str, str]]:
    """Give what stands directly in a folder: its kind by its key."""
    there = opened(store)
    assert there.backend.children is not None
    found: list[Child] = []
    for page in there.backend.children(there.handle, folder):
        if not is_successful(page):
            return page.map(lambda _: {})
        found.extend(page.unwrap())
    assert len({child.key for child in found}) == len(found), "one of them came twice"
    return Success({str(child.key): child.kind for child in found})


def keys(store: object, folder: str = "") -> Outcome[list[str]]:
    """Give the keys below a folder."""
    there = opened(store)
    assert there.backend.list is not None
    found: list[str] = []
    for page in there.backend.list(there.handle, folder):
        if not is_successful(page):
            return page.map(lambda _: [])
        found.extend(page.unwrap())
    assert len(set(found)) == len(found), "one of them came twice"
    return Success(sorted(found))


def error_of(outcome: Outcome[object]) -> str:
    """Give the name of an outcome's error, after a look at what every error must have."""
    error = outcome.failure()
    assert error.key
    assert error.config is not None
    assert error.message.endswith(".")
    assert error.advice.endswith((".", "?"))
    return type(error).__name__


def said(outcome: Outcome[object]) -> Answer:
    """Give the value of an outcome, or the name of its error."""
    return outcome.unwrap() if is_successful(outcome) else error_of(outcome)


@frozen
class Op:
    """One operation, by its name, on one key or on two."""

    name: str
    key: str
    other: str = ""
    if_exists: IfExists = "fail"

    def on(self, store: Config, number: int) -> Answer:
        """Do it, and give what two stores must agree on."""
        value = np.full(3, number)
        actions: dict[str, Callable[[], Answer]] = {
            "save": lambda: said(
                save(store, if_exists=self.if_exists)(Item(self.key, value)).map(
                    lambda it: it.status
                )
            ),
            "load": lambda: said(load(store)(self.key).map(_content)),
            "delete": lambda: said(delete(store, self.key)),
            "move": lambda: said(move(store, self.key, self.other, self.if_exists)),
            "make folder": lambda: said(make_folder(store, self.key)),
            "link": lambda: said(link(store, self.key, self.other, self.if_exists)),
            "link by hand": lambda: link_by_hand(store, self.key, self.other),
        }
        return actions[self.name]()


def link_by_hand(store: object, key: str, to: str) -> None:
    """Make a link in the folder of a store, as far as the system makes one."""
    assert isinstance(store, (DiskConfig, ZarrConfig))
    path = Path(store.root) / key
    with suppress(OSError):
        path.symlink_to(os.path.relpath(to, Path(key).parent))


def _content(item: Item[object]) -> Answer:
    return np.asarray(item.payload).tolist()


def seen(store: Config, names: tuple[str, ...]) -> dict[str, Answer]:
    """Give all that can be asked of a store about some keys."""
    whole: dict[str, Answer] = {"": fold(keys(store), set, lambda _: set[str]())}
    for name in names:
        found = stat(store, name)
        kind: Answer = fold(found, _kind, lambda error: type(error).__name__)
        loaded = said(load(store)(name).map(_content))
        below: Answer = said(children(store, name))
        whole[name] = (kind, loaded, below, said(keys(store, name)))
    return whole


def _kind(found: Stat) -> tuple[str, bool]:
    return found.kind, found.link is not None


def agree(one: Config, other: Config, operations: list[Op], names: tuple[str, ...]) -> None:
    """Do the same to both stores, and look whether one can be told from the other."""
    for number, operation in enumerate(operations):
        both = [operation.on(store, number) for store in (one, other)]
        assert both[0] == both[1], (operation, both)
    looks = [seen(store, names) for store in (one, other)]
    for name, look in looks[0].items():
        assert look == looks[1][name], (name, look, looks[1][name])
