"""Saving an array: its folder comes in one step. Making a group."""

from __future__ import annotations

import errno
import os

from attrs import evolve

from polystore.backends.beneath import open_root
from polystore.backends.heldfolder import is_link
from polystore.backends.oserrors import exists_already, from_os
from polystore.backends.wholefolder import (
    hidden_folder,
    look_at,
    settle_instead,
    settle_new,
)
from polystore.backends.zarr.document import Document, document_for
from polystore.backends.zarr.groups import group_folder, no_name
from polystore.backends.zarr.node import node_at, refuse_all_but_arrays
from polystore.backends.zarr.reading import ZarrFolder, link_of
from polystore.backends.zarr.whole_elements import write_array
from polystore.configs import ZarrConfig
from polystore.core.errors import (
    InvalidKey,
    NotADirectory,
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

__all__ = ["make_group", "save_array", "unwritten"]


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
                catch(OSError, lambda error: unwritten(error, key, store.config)),
            ),
            lambda saved: saved,
        ),
    )


def _refused(
    config: ZarrConfig, key: Key, options: object
) -> InvalidKey | UnsupportedPayload | None:
    if options is not None:
        return UnsupportedPayload(
            key,
            config,
            f"A Zarr store does not take {type(options).__name__}.",
            "Leave the options out.",
        )
    return no_name(key, config)


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


def unwritten(error: OSError, key: str, config: ZarrConfig) -> StorageError:
    """Give the error for what the system says of a node that was to be saved."""
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
        return Failure(evolve(group.failure(), key=key))
    parent = group.unwrap()
    try:
        if if_exists != "replace" and _is_taken(config, key, parent):
            return _not_written(config, key, if_exists)
        _build(parent, name, document, array, if_exists)
    except FileExistsError:  # another writer was first
        _is_taken(config, key, parent)
        return _not_written(config, key, if_exists)
    finally:
        os.close(parent)
    return Success(Saved(key, config, "written", array.nbytes, document.dropped))


def _is_taken(config: ZarrConfig, key: Key, parent: int) -> bool:
    """Whether an array, or a link to one, has the name; raises if something else has it."""
    name = key.rpartition("/")[2]
    try:
        if is_link(parent, name):
            _refuse_all_but_links_to_arrays(config, key)
        else:
            look_at(parent, name, refuse_all_but_arrays)
    except FileNotFoundError:
        return False
    return True


def _refuse_all_but_links_to_arrays(config: ZarrConfig, key: Key) -> None:
    root = open_root(config.root)
    try:
        node = node_at(root, key)
    except OSError as error:  # it leads nowhere, and is in the way
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), key) from error
    finally:
        os.close(root)
    if node not in ("array", "damaged"):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), key)


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


def make_group(store: ZarrFolder, key: Key, /) -> Outcome[None]:
    """Make a group, and those above it; fine if it is there."""
    config = store.config
    refused = no_name(key, config)
    if refused is not None:
        return Failure(refused)
    made = guard(
        lambda: group_folder(config.root, key, config),
        catch(OSError, lambda error: unwritten(error, key, config)),
    )
    closed = and_then(made, lambda it: it.map(os.close))
    if is_successful(closed):
        return closed
    error = closed.failure()
    if not isinstance(error, NotADirectory) and link_of(config, key) is not None:
        return Failure(exists_already(key, config))  # the link, which leads to nothing
    return Failure(evolve(error, key=key))
