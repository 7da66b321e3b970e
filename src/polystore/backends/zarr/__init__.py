"""Zarr stores: arrays, OME-Zarr images and plates, of Zarr v3 and v2, in a folder or in objects.

A layout (`arrays`, `ome`, `plates`) is a record of functions over a tree of nodes (`tree`), and a
tree is made of a folder (`folder`) or of the keys of a store of bytes (`objects`). The elements of
arrays are read and written by `elements`.

What Zarr itself does not promise is ours: a save is all or nothing to every reader, a reader sees
one generation of an item, and nothing leads out of the root.
"""

from __future__ import annotations

from attrs import evolve

from polystore.backends.zarr.arrays import ARRAY
from polystore.backends.zarr.tree import ZarrStore
from polystore.configs import ZarrConfig, ZarrLayout
from polystore.core.records import Backend, Reach

__all__ = ["ZARR", "of_layout"]

ZARR: Backend[ZarrConfig, ZarrStore] = ARRAY
"""The record of Zarr stores. Its handle holds nothing open: a folder is opened anew for each call.
What a store of images or plates can do is said by `of_layout`."""


def of_layout(store: ZarrStore) -> Backend[ZarrConfig, ZarrStore]:
    """Give the record of a store's layout, as far as it goes where the store is.

    >>> from polystore import ZarrConfig, default_dispatcher
    >>> opened = default_dispatcher().open(ZarrConfig(root="/data")).unwrap()
    >>> opened.backend is ZARR
    True
    """
    record = _record(store.config.layout)
    tree = store.tree
    if store.config.store is None:
        return record
    return evolve(
        record,
        reach=Reach.NETWORK,
        children=None if tree.children is None else record.children,
        make_folder=None if tree.make_folder is None else record.make_folder,
        move=None if tree.move is None else record.move,
        lock=None if tree.lock is None else record.lock,
    )


def _record(layout: ZarrLayout) -> Backend[ZarrConfig, ZarrStore]:
    if layout is ZarrLayout.IMAGE:
        from polystore.backends.zarr.ome.images import IMAGE

        return IMAGE
    if layout is ZarrLayout.PLATE:
        from polystore.backends.zarr.plates import PLATE

        return PLATE
    return ARRAY
