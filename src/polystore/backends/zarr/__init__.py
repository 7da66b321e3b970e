"""Zarr v3 in a folder of this machine: one array per key, dense, read and written whole.

zarr-python reads and writes the elements. What it does not promise is ours: a save is all or
nothing to every reader, a reader sees one generation of an array, and nothing leads out of the
root.

Each array is a folder that is built hidden and moved into place in one step (`writing`). A reader
opens the folder once, and reads everything by that descriptor; where something is missing because
the folder has been replaced meanwhile, it begins again with the new one (`reading`).

zarr-python's event loop and threads belong to the process. After a fork the child starts its own,
and this package keeps nothing between calls; so fork between calls, as a process pool does.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from polystore.backends.filelock import file_lock
from polystore.backends.zarr.listing import list_arrays, list_children
from polystore.backends.zarr.moving import move_node
from polystore.backends.zarr.node import RESERVED
from polystore.backends.zarr.reading import ZarrFolder, load_array, stat_node
from polystore.backends.zarr.removing import delete_node
from polystore.backends.zarr.writing import make_group, save_array
from polystore.configs import ZarrConfig
from polystore.core.key import Key
from polystore.core.outcome import Outcome, Success
from polystore.core.records import Backend, Context, Reach

__all__ = ["ZARR", "ZarrFolder"]


def _open(config: ZarrConfig, context: Context, /) -> Outcome[ZarrFolder]:
    return Success(ZarrFolder(config, context))


def _close(_store: ZarrFolder, /) -> None:
    return None


def _lock(store: ZarrFolder, key: Key, seconds: float, /) -> Outcome[AbstractContextManager[None]]:
    return file_lock(store.config.root, key, seconds, store.config)


ZARR: Backend[ZarrConfig, ZarrFolder] = Backend(
    name="zarr",
    config=ZarrConfig,
    reach=Reach.MACHINE,
    open=_open,
    close=_close,
    load=load_array,
    save=save_array,
    stat=stat_node,
    list=list_arrays,
    children=list_children,
    make_folder=make_group,
    delete=delete_node,
    move=move_node,
    lock=_lock,
    root=lambda config: config.root if config.store is None else None,
    reserved=RESERVED,
)
"""The record of Zarr stores. Its handle holds nothing open: a folder is opened anew for each
call."""
