"""Another store, to be read only: nothing that could change it is here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias, cast

from polystore.backends.view import View, owned, unable, viewed
from polystore.configs import ReadOnlyConfig
from polystore.core.item import Item
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome
from polystore.core.payload import LazyArray, Payload
from polystore.core.records import (
    Backend,
    Child,
    Context,
    FileFormat,
    Page,
    Reach,
    Readable,
    Stat,
)

__all__ = ["READONLY"]

_Config: TypeAlias = ReadOnlyConfig[object]


def _open(config: _Config, context: Context, /) -> Outcome[View]:
    return viewed(config, config.inner, context)


def _close(_view: View, /) -> None:
    return None


def _parts(config: _Config, /) -> tuple[object, ...]:
    return (config.inner,)


def _load(view: View, key: Key, format: FileFormat[object] | None, /) -> Outcome[Item[Payload]]:
    load = view.opened.backend.load
    if load is None:
        return Failure(unable(view, key, "load from"))
    return owned(view, load(view.opened.handle, key, format))


def _load_lazy(
    view: View, key: Key, format: FileFormat[object] | None, /
) -> Outcome[Item[LazyArray]]:
    load_lazy = view.opened.backend.load_lazy
    if load_lazy is None:
        return Failure(unable(view, key, "load lazily from"))
    return owned(view, load_lazy(view.opened.handle, key, format))


def _get(view: View, key: Key, /) -> Outcome[Readable]:
    get = view.opened.backend.get
    if get is None:
        return Failure(unable(view, key, "get bytes from"))
    return owned(view, get(view.opened.handle, key))


def _stat(view: View, key: Key, /) -> Outcome[Stat]:
    stat = view.opened.backend.stat
    if stat is None:
        return Failure(unable(view, key, "ask what stands in"))
    return owned(view, stat(view.opened.handle, key))


def _list(view: View, folder: str, /) -> Iterator[Outcome[Page]]:
    pages = view.opened.backend.list
    if pages is None:
        yield Failure(unable(view, folder, "list"))
        return
    for page in pages(view.opened.handle, folder):
        yield owned(view, page)


def _children(view: View, folder: str, /) -> Iterator[Outcome[tuple[Child, ...]]]:
    children = view.opened.backend.children
    if children is None:
        yield Failure(unable(view, folder, "look into the folders of"))
        return
    for some in children(view.opened.handle, folder):
        yield owned(view, some)


READONLY: Backend[_Config, View] = Backend(
    name="readonly",
    config=cast("type[_Config]", ReadOnlyConfig),
    reach=Reach.NETWORK,
    open=_open,
    close=_close,
    load=_load,
    load_lazy=_load_lazy,
    get=_get,
    parts=_parts,
    stat=_stat,
    list=_list,
    children=_children,
)
"""The record of read-only stores. It reaches as far as the store that it shows."""
