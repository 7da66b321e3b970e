"""The handle of a routed store: the stores that it is made of, and which one takes what."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import combinations
from typing import TypeAlias, cast, get_args

from attrs import frozen

from polystore.configs import PayloadKind, Route, RouteConfig
from polystore.core.errors import (
    InvalidKey,
    InvalidSpec,
    UnsupportedOperation,
    UnsupportedPayload,
)
from polystore.core.key import Key, suffix_of
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.payload import LazyArray, is_host_array
from polystore.core.records import Backend, Context, Opened
from polystore.core.rois import Rois
from polystore.core.table import Table

__all__ = [
    "Part",
    "Routes",
    "Taking",
    "can_hold",
    "kind_of",
    "open_routes",
    "reserved_in",
    "takes_suffix",
    "taking",
]


@frozen
class _Folder:
    """The folder of a store of that name, without links in its path."""

    store: str
    path: str


_Leaves: TypeAlias = "frozenset[object]"
"""Where a store keeps its content at last: folders, or configs of what has none."""


@frozen
class Part:
    """A place that routes lead to, however many: where a key is looked for.

    `suffixes` are those of all its routes; empty if one of them takes any.
    """

    backend: Backend[object, object]
    handle: object
    suffixes: tuple[str, ...]


@frozen
class Taking:
    """A route, its store, and the place that this is: two configs of one folder are one place."""

    route: Route
    store: Opened
    part: Part


@frozen
class Routes:
    """The handle: the places, in the order of the first route to each, and the routes."""

    config: RouteConfig
    context: Context
    parts: tuple[Part, ...]
    taking: tuple[Taking, ...]


def can_hold(part: Part, key: str) -> bool:
    """Whether a key can be seen in a store of the routes: its suffix, and no name of the store."""
    if part.suffixes and suffix_of(key, part.suffixes) is None:
        return False
    return part.backend.reserved.isdisjoint(key.split("/"))


def taking(routes: Routes, key: Key, payload: object) -> Outcome[Taking]:
    """Give the first route that takes the payload under the key.

    `UnsupportedPayload`, which lists the routes, if there is none; `InvalidKey` if the store has
    taken a name in the key for itself.
    """
    kind = kind_of(payload, routes.context)
    for each in routes.taking:
        route = each.route
        if takes_suffix(route, key) and (not route.kinds or kind in route.kinds):
            reserved = reserved_in(each.part, key, routes.config)
            return Success(each) if reserved is None else Failure(reserved)
    return Failure(_no_route(routes, key, kind or type(payload).__name__))


def takes_suffix(route: Route, key: str) -> bool:
    """Whether a route takes the suffix of a key."""
    suffixes = tuple(suffix.lower() for suffix in route.suffixes)
    return not suffixes or suffix_of(key, suffixes) is not None


def reserved_in(part: Part, key: str, config: object) -> InvalidKey | None:
    """Give the error for a key with a name that the store has taken for itself."""
    names = part.backend.reserved.intersection(key.split("/"))
    if not names:
        return None
    return InvalidKey(
        key,
        config,
        f"{key!r} is no key: the name {min(names)!r} is reserved by the {part.backend.name} store.",
        "Choose another name.",
    )


def _no_route(routes: Routes, key: str, kind: str) -> UnsupportedPayload:
    known = "; ".join(map(_described, routes.taking))
    return UnsupportedPayload(
        key,
        routes.config,
        f"No route takes the kind {kind!r} under {key!r}.",
        f"Add a route that does, or choose another suffix. There are: {known}.",
    )


def _described(each: Taking) -> str:
    route = each.route
    kinds = f"the kinds {', '.join(route.kinds)}" if route.kinds else "any kind"
    suffixes = f" with a suffix of {' '.join(route.suffixes)}" if route.suffixes else ""
    return f"{kinds}{suffixes} to {each.store.backend.name}"


def kind_of(payload: object, context: Context) -> PayloadKind | None:
    """Give what a payload is; `None` for what is nothing that an item can hold.

    A mapping is `"arrays"` if all its values are arrays, and `"json"` otherwise.
    """
    if isinstance(payload, str):
        return "text"
    if payload is None or isinstance(payload, (bool, int, float, list, tuple)):
        return "json"
    if isinstance(payload, Mapping):
        values = cast("Mapping[str, object]", payload).values()
        return "arrays" if values and all(_is_array(it, context) for it in values) else "json"
    if isinstance(payload, Table):
        return "table"
    if isinstance(payload, Rois):
        return "rois"
    return "array" if _is_array(payload, context) else None


def _is_array(value: object, context: Context) -> bool:
    if value is None or isinstance(value, (bool, int, float, str, list, tuple, Mapping)):
        return False
    return (
        isinstance(value, LazyArray) or is_host_array(value) or is_successful(context.owner(value))
    )


def open_routes(config: RouteConfig, context: Context, /) -> Outcome[Routes]:
    """Open the stores; `InvalidSpec` for routes that say no kind or suffix, or that overlap."""
    mistake = _mistake_in(config)
    if mistake is not None:
        return Failure(mistake)
    found: list[tuple[Route, Opened, _Leaves]] = []
    for route in config.routes:
        opened = context.open(route.store)
        if not is_successful(opened):
            return Failure(opened.failure())
        found.append((route, opened.unwrap(), _leaves(route.store, context)))
    problem = _overlap(config, [leaves for _, _, leaves in found]) or _unasked(config, found)
    return Success(_routes(config, context, found)) if problem is None else Failure(problem)


def _routes(
    config: RouteConfig, context: Context, found: list[tuple[Route, Opened, _Leaves]]
) -> Routes:
    parts: dict[_Leaves, Part] = {}
    for _, opened, leaves in found:
        if leaves not in parts:
            suffixes = _suffixes([route for route, _, other in found if other == leaves])
            parts[leaves] = Part(opened.backend, opened.handle, suffixes)
    taking = tuple(Taking(route, opened, parts[leaves]) for route, opened, leaves in found)
    return Routes(config, context, tuple(parts.values()), taking)


def _suffixes(routes: list[Route]) -> tuple[str, ...]:
    if any(not route.suffixes for route in routes):
        return ()
    return tuple(suffix.lower() for route in routes for suffix in route.suffixes)


def _mistake_in(config: RouteConfig) -> InvalidSpec | None:
    """Say what is wrong with the routes themselves; without a type checker, it may be anything."""
    if not config.routes:
        return _wrong(config, "route.routes", "There are no routes", "Give at least one.")
    for number, route in enumerate(cast("tuple[object, ...]", config.routes)):
        where = f"route.routes[{number}]"
        if not isinstance(route, Route):
            words = f"{where} is a {type(route).__name__}, and no Route"
            return _wrong(config, where, words, "Give Route(store, kinds=..., suffixes=...).")
        for kind in route.kinds:
            if kind not in get_args(PayloadKind):
                words = f"{where}.kinds names {kind!r}"
                known = f"The kinds are {', '.join(get_args(PayloadKind))}, in a tuple."
                return _wrong(config, f"{where}.kinds", words, known)
        for suffix in cast("tuple[object, ...]", route.suffixes):
            if not isinstance(suffix, str) or not suffix.startswith(".") or len(suffix) < 2:
                words = f"{where}.suffixes names {suffix!r}"
                advice = "Give suffixes with their dots, in a tuple, such as ('.json',)."
                return _wrong(config, f"{where}.suffixes", words, advice)
    return None


def _wrong(config: object, where: str, words: str, advice: str) -> InvalidSpec:
    return InvalidSpec("", config, f"{words}.", advice, where)


def _leaves(config: object, context: Context) -> _Leaves:
    """Give where a store keeps its content at last, whatever it is made of."""
    found: list[object] = []
    waiting = [config]
    seen: set[object] = set()
    while waiting:
        each = waiting.pop()
        if each in seen:  # virtual items may come from their own store
            continue
        seen.add(each)
        opened = context.open(each)
        backend = opened.unwrap().backend if is_successful(opened) else None
        parts = backend.parts(each) if backend is not None and backend.parts is not None else ()
        waiting.extend(parts)
        if backend is not None and not parts and backend.root is not None:
            root = backend.root(each)
            if root is not None:
                found.append(_Folder(backend.name, os.path.realpath(root)))
        elif not parts:
            found.append(each)
    return frozenset(found or [config])


def _overlap(config: RouteConfig, stores: list[_Leaves]) -> InvalidSpec | None:
    """Say which two stores are neither the same nor apart: one key there could be two items."""
    for one, other in combinations(dict.fromkeys(stores), 2):
        nested = any(_is_in(a, b) or _is_in(b, a) for a in _paths(one) for b in _paths(other))
        if nested or one & other:
            words = f"Two routes lead to stores that overlap: {_names(one)} and {_names(other)}"
            advice = "Give each a folder of its own, such as plate.zarr beside plate."
            return _wrong(config, "route.routes", words, advice)
    return None


def _paths(store: _Leaves) -> list[str]:
    return [it.path for it in store if isinstance(it, _Folder)]


def _names(store: _Leaves) -> str:
    return ", ".join(sorted(it.path if isinstance(it, _Folder) else repr(it) for it in store))


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _unasked(
    config: RouteConfig, found: list[tuple[Route, Opened, _Leaves]]
) -> UnsupportedOperation | None:
    """Say which store cannot be asked what stands under a key, where that decides between two."""
    if len({leaves for _, _, leaves in found}) == 1:
        return None
    for route, opened, _ in found:
        if opened.backend.stat is None:
            return UnsupportedOperation(
                "",
                config,
                f"A {opened.backend.name} store cannot say what it holds, which routes need.",
                f"Leave {route.store!r} out, or give it a stat.",
            )
    return None
