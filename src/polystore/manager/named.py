"""Stores by name: how they are kept, and found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Never, TypeAlias, TypeVar, cast

from polystore.core.errors import BackendNotRegistered
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import Payload
from polystore.core.records import Sink, Source, Store

__all__ = ["AnyStore", "NamedStores", "by_name", "find", "key_text", "of_kind", "step_of"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")

AnyStore: TypeAlias = "Source[object] | Sink[Never]"
"""A config, of whatever store."""

NamedStores: TypeAlias = tuple[tuple[str, AnyStore], ...]
"""Names and their configs, in the order of the names: the same stores are the same value."""


def by_name(stores: Mapping[str, AnyStore] | NamedStores) -> NamedStores:
    """Give stores in the order of their names; `TypeError` for what is no mapping from texts.

    >>> from polystore import MemoryConfig
    >>> [name for name, _ in by_name({"b": MemoryConfig(), "a": MemoryConfig()})]
    ['a', 'b']
    """
    named = dict(stores)
    if not all(isinstance(name, str) for name in cast("dict[object, object]", named)):
        raise TypeError("the stores of a FileManager are a mapping from names to configs")
    return tuple(sorted(named.items(), key=lambda pair: pair[0]))


def find(stores: NamedStores, name: str, about: object = "") -> Outcome[Store[Payload, Payload]]:
    """Give the config of a name, or `BackendNotRegistered` with the names that there are.

    The error's key is that of what it is about: an item, a key, a path.
    That it takes any payload is for type checkers alone: what a store cannot do, it says.

    >>> print(find((), "disk").failure())
    No store is called 'disk'. There are no stores here.
    """
    for known, config in stores:
        if known == name:
            return Success(cast("Store[Payload, Payload]", config))
    return Failure(
        BackendNotRegistered(
            key_text(about),
            None,
            f"No store is called {name!r}.",
            _suggestion(name, tuple(known for known, _ in stores)),
        )
    )


def _suggestion(name: object, names: tuple[str, ...]) -> str:
    from difflib import get_close_matches  # for this error alone

    if not names:
        return "There are no stores here."
    near = get_close_matches(str(name).casefold(), map(str.casefold, names), 1)
    known = f"The names are {', '.join(map(repr, names))}."
    found = [each for each in names if near and each.casefold() == near[0]]
    return f"Did you mean {found[0]!r}? {known}" if found else known


def key_text(value: object) -> str:
    """Give the key of an item, or a key as text; `""` for what is neither.

    >>> from polystore import Item
    >>> key_text(Item("a.json", 1)), key_text("b.json"), key_text(3)
    ('a.json', 'b.json', '')
    """
    key: object = getattr(value, "key", value)
    return str(key) if isinstance(key, (str, PurePath)) else ""


def of_kind(config: object, kind: type[C], name: str) -> Outcome[C]:
    """Give the config if it is of a type, or `BackendNotRegistered`.

    >>> from polystore import DiskConfig, MemoryConfig
    >>> print(of_kind(MemoryConfig(), DiskConfig, "scratch").failure())
    The store 'scratch' is a MemoryConfig, and no DiskConfig. Ask for the type that it is.
    """
    if isinstance(config, kind):
        return Success(config)
    return Failure(
        BackendNotRegistered(
            "",
            config,
            f"The store {name!r} is a {type(config).__name__}, and no {kind.__name__}.",
            "Ask for the type that it is.",
        )
    )


def step_of(
    stores: NamedStores,
    name: str,
    make: Callable[[Store[Payload, Payload]], Callable[[A], Outcome[B]]],
) -> Callable[[A], Outcome[B]]:
    """Give the step of a store, or one that refuses every value for the wrong name.

    >>> from polystore import load
    >>> print(step_of((), "disk", load)("a.npy").failure().key)
    a.npy
    """
    store = find(stores, name)
    if is_successful(store):
        return make(store.unwrap())
    return lambda value: Failure(find(stores, name, value).failure())
