"""A store made of others: each item goes to the first route that takes it.

One key is one item: what another of the stores holds under a key is in the way of a save, is
skipped, or is deleted once the new item is whole, as `if_exists` says. The system decides between
two writers of one store; of two that save at the same time what goes to different stores, both may
win, unless they hold the key's lock.
"""

from __future__ import annotations

from polystore.backends.route.changing import delete, lock, make_folder, move, save
from polystore.backends.route.finding import children, get, list_keys, load, load_lazy, stat
from polystore.backends.route.parts import Routes, open_routes
from polystore.configs import RouteConfig
from polystore.core.records import Backend, Reach

__all__ = ["ROUTE", "Routes"]


def _close(_routes: Routes, /) -> None:
    return None


def _parts(config: RouteConfig, /) -> tuple[object, ...]:
    return tuple(route.store for route in config.routes)


ROUTE: Backend[RouteConfig, Routes] = Backend(
    name="route",
    config=RouteConfig,
    reach=Reach.NETWORK,
    open=open_routes,
    close=_close,
    load=load,
    load_lazy=load_lazy,
    save=save,
    get=get,
    parts=_parts,
    stat=stat,
    list=list_keys,
    children=children,
    make_folder=make_folder,
    delete=delete,
    move=move,
    lock=lock,
)
"""The record of routed stores. It reaches as far as the stores that it is made of. It takes no
bytes (`put`): which store a key goes to depends on what its item holds."""
