"""Saving and deleting an array: its folder comes and goes in one step."""

from __future__ import annotations

import errno
import os
import shutil

from polystore.backends.beneath import open_root
from polystore.backends.oserrors import exists_already, from_os
from polystore.backends.wholefolder import (
    hidden_folder,
    look_at,
    settle_instead,
    settle_new,
    withdraw,
)
from polystore.backends.zarr.document import Document, document_for
from polystore.backends.zarr.elements import write_array
from polystore.backends.zarr.groups import group_folder
from polystore.backends.zarr.node import (
    DOCUMENT,
    is_node_name,
    open_folder,
    refuse_all_but_arrays,
)
from polystore.backends.zarr.reading import ZarrFolder, guarded
from polystore.configs import ZarrConfig
from polystore.core.errors import (
    InvalidKey,
    StorageError,
    Unavailable,
    UnsupportedOperation,
    UnsupportedPayload,
)
from polystore.core.item import Item, Saved
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.payload import HostArray, Payload, is_host_array
from polystore.core.records import IfExists, SaveOptions

__all__ = ["delete_array", "save_array"]


def save_array(
    store: ZarrFolder, key: Key, item: Item[Payload], how: SaveOptions, /
) -> Outcome[Saved]:
    """Save an array of any framework, whole, with its metadata and history."""
    refused = _refused(store.config, key, how.options)
    if refused is not None:
        return Failure(refused)
    host = and_then(store.context.to_host(item), lambda it: _one_array(it.payload))
    if not is_successful(host):
        return Failure(host.failure())
    array = host.unwrap()
    document = document_for(array, item, store.context.to_spec)
    return and_then(
        document,
        lambda it: and_then(
            guard(
                lambda: _written(store.config, key, it, array, how.if_exists),
                catch(OSError, lambda error: _unwritten(error, key, store.config)),
            ),
            lambda saved: saved,
        ),
    )


def _refused(
    config: ZarrConfig, key: Key, options: object
) -> InvalidKey | UnsupportedPayload | None:
    part = next((part for part in key.split("/") if not is_node_name(part)), None)
    if part is not None:
        return InvalidKey(
            key,
            config,
            f"{key!r} is no key of a Zarr store: Zarr reserves names such as {part!r}.",
            "Use a part that is not only dots, and does not begin with two underscores.",
        )
    if options is not None:
        return UnsupportedPayload(
            key,
            config,
            f"A Zarr store does not take {type(options).__name__}.",
            "Leave the options out.",
        )
    return None


def _one_array(payload: Payload) -> Outcome[HostArray]:
    if is_host_array(payload):
        return Success(payload)
    return Failure(
        UnsupportedPayload(
            "",
            None,
            f"A Zarr store holds arrays, and a {type(payload).__name__} is none.",
            "Make it one array, save its arrays one by one, or save it to another store.",
        )
    )


def _unwritten(error: OSError, key: str, config: ZarrConfig) -> StorageError:
    if error.errno == errno.ENOENT:
        return Unavailable(
            key,
            config,
            f"A folder above {key!r} was removed meanwhile, or is a link that leads nowhere.",
            "Look at the folders above it, then save again.",
        )
    if error.errno == errno.EOPNOTSUPP:
        return UnsupportedOperation(
            key,
            config,
            f"This file system cannot replace the folder of {key!r} in one step.",
            'Delete the array, then save it with if_exists="fail"; or save to another file system.',
        )
    return from_os(error, key, config)


def _written(
    config: ZarrConfig, key: Key, document: Document, array: HostArray, if_exists: IfExists
) -> Outcome[Saved]:
    above, _, name = key.rpartition("/")
    group = group_folder(config.root, above, config)
    if not is_successful(group):
        return Failure(group.failure())
    parent = group.unwrap()
    try:
        if if_exists != "replace" and _is_taken(parent, name):
            return _not_written(config, key, if_exists)
        _build(parent, name, document, array, if_exists)
    except FileExistsError:  # another writer was first
        _is_taken(parent, name)
        return _not_written(config, key, if_exists)
    finally:
        os.close(parent)
    return Success(Saved(key, config, "written", array.nbytes, document.dropped))


def _is_taken(parent: int, name: str) -> bool:
    """Whether an array has the name; raises if something else has it."""
    try:
        look_at(parent, name, refuse_all_but_arrays)
    except FileNotFoundError:
        return False
    return True


def _not_written(config: ZarrConfig, key: Key, if_exists: IfExists) -> Outcome[Saved]:
    if if_exists == "skip":
        return Success(Saved(key, config, "skipped", 0))
    return Failure(exists_already(key, config))


def _build(
    parent: int, name: str, document: Document, array: HostArray, if_exists: IfExists
) -> None:
    with hidden_folder(parent) as hidden:
        write_array(hidden.fd, document.fields, array)
        if if_exists == "replace":
            settle_instead(parent, hidden, name, refuse_all_but_arrays)
        else:
            settle_new(parent, hidden, name)


def delete_array(store: ZarrFolder, key: Key, /) -> Outcome[None]:
    """Remove an array; to readers it goes in one step."""
    return guarded(lambda: _deleted(store.config, key), key, store.config)


def _deleted(config: ZarrConfig, key: Key) -> Outcome[None]:
    above, _, name = key.rpartition("/")
    root = open_root(config.root)
    try:
        parent = open_folder(root, above)
    finally:
        os.close(root)
    try:
        withdraw(parent, name, refuse_all_but_arrays)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        remove_in_place(parent, name)
    finally:
        os.close(parent)
    return Success(None)


def remove_in_place(parent: int, name: str) -> None:
    """Do without a rename, which overlay file systems refuse for folders of their lower layer.

    The document goes first: nobody takes the rest for an array.
    """
    os.unlink(f"{name}/{DOCUMENT}", dir_fd=parent)
    shutil.rmtree(name, dir_fd=parent)
