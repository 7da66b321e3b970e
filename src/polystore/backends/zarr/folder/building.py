"""Building a node out of new files: its folder comes in one step. Making a group."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial

from attrs import evolve

from polystore.backends.beneath import open_root
from polystore.backends.heldfolder import is_link, remove_hidden
from polystore.backends.oserrors import exists_already, from_os
from polystore.backends.refusals import above_removed
from polystore.backends.wholefolder import (
    hidden_folder,
    look_at,
    settle_instead,
    settle_new,
)
from polystore.backends.zarr.folder.files import append_file, new_files
from polystore.backends.zarr.folder.groups import group_folder, no_name
from polystore.backends.zarr.folder.node import (
    files_of_node,
    is_whole,
    node_of,
    open_end,
    open_folder,
    refuse_all_but_items,
)
from polystore.backends.zarr.folder.reading import link_of
from polystore.backends.zarr.folder.staying import refuse_what_stays
from polystore.backends.zarr.kind import DOCUMENTS
from polystore.backends.zarr.tree import Files
from polystore.configs import ZarrConfig
from polystore.core.errors import NotADirectory, StorageError, UnsupportedOperation
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.records import IfExists

__all__ = ["build", "copy_in", "make_group", "unwritten"]

Fill = Callable[[Files], Outcome[None]]


def build(config: ZarrConfig, key: Key, if_exists: IfExists, fill: Fill) -> Outcome[bool]:
    """Make a node out of the files that `fill` creates, whole; `False` if skipped."""
    refused = no_name(key, config)
    if refused is not None:
        return Failure(refused)
    return and_then(
        guard(
            lambda: _built(config, key, if_exists, fill),
            catch(OSError, lambda error: unwritten(error, key, config)),
        ),
        lambda built: built,
    )


def unwritten(error: OSError, key: str, config: ZarrConfig) -> StorageError:
    """Give the error for what the system says of a node that was to be saved."""
    if error.errno == errno.ENOENT:
        return above_removed(key, config)
    if error.errno == errno.EOPNOTSUPP:
        return UnsupportedOperation(
            key,
            config,
            f"This file system cannot replace the folder of {key!r} in one step.",
            'Delete the array, then save it with if_exists="fail"; or save to another file system.',
        )
    return from_os(error, key, config)


def _built(config: ZarrConfig, key: Key, if_exists: IfExists, fill: Fill) -> Outcome[bool]:
    above, _, name = key.rpartition("/")
    group = group_folder(config, above, name)
    if not is_successful(group):
        return Failure(evolve(group.failure(), key=key))
    parent = group.unwrap()
    try:
        if if_exists != "replace" and _is_taken(config, key, parent):
            return _not_written(config, key, if_exists)
        return _settled(parent, name, if_exists, fill, config)
    except FileExistsError:  # another writer was first
        _is_taken(config, key, parent)
        return _not_written(config, key, if_exists)
    finally:
        os.close(parent)


def _is_taken(config: ZarrConfig, key: Key, parent: int) -> bool:
    """Whether an item, or a link to one, has the name; raises if something else has it."""
    name = key.rpartition("/")[2]
    try:
        linked = is_link(parent, name)
        if not linked:
            look_at(parent, name, refuse_all_but_items(config.layout))
            folder = open_folder(parent, name)
            try:
                linked = files_of_node(folder)[1] is not None
            finally:
                os.close(folder)
    except FileNotFoundError:
        return False
    if linked:
        _refuse_all_but_links_to_items(config, key)
    return True


def _refuse_all_but_links_to_items(config: ZarrConfig, key: Key) -> None:
    root = open_root(config.root)
    try:
        folder, _ = open_end(root, key)
        try:
            node = node_of(folder)
        finally:
            os.close(folder)
    except OSError as error:  # it leads nowhere, and is in the way
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), key) from error
    finally:
        os.close(root)
    if node != "damaged" and not is_whole(node, config.layout):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), key)


def _not_written(config: ZarrConfig, key: Key, if_exists: IfExists) -> Outcome[bool]:
    if if_exists == "skip":
        return Success(False)
    return Failure(exists_already(key, config))


def _settled(
    parent: int, name: str, if_exists: IfExists, fill: Fill, config: ZarrConfig
) -> Outcome[bool]:
    with hidden_folder(parent) as hidden:
        with new_files(hidden.fd) as files:
            filled = fill(files)
        if not is_successful(filled):
            remove_hidden(parent, hidden.name)
            return Failure(filled.failure())
        if if_exists == "replace":
            settle_instead(parent, hidden, name, refuse_what_stays(config.layout))
        else:
            settle_new(parent, hidden, name)
    return Success(True)


def copy_in(config: ZarrConfig, key: Key, files: Files, if_exists: IfExists) -> Outcome[bool]:
    """Make a node out of all files of another, as they are."""
    return build(config, key, if_exists, partial(_copied, files))


def _copied(source: Files, new: Files) -> Outcome[None]:
    documents_last = sorted(source.names(), key=lambda it: it.rpartition("/")[2] in DOCUMENTS)
    for path in documents_last:
        opened = source.open(path)
        if opened is None:
            raise OSError(errno.EAGAIN, "a file went while its node was copied", path)
        try:
            growing = new.create(path)
            append_file(growing, opened)
            growing.finish()
        finally:
            opened.close()
    return Success(None)


def make_group(config: ZarrConfig, key: Key) -> Outcome[None]:
    """Make a group, and those above it; fine if it is there."""
    refused = no_name(key, config)
    if refused is not None:
        return Failure(refused)
    made = guard(
        lambda: group_folder(config, key),
        catch(OSError, lambda error: unwritten(error, key, config)),
    )
    closed = and_then(made, lambda it: it.map(os.close))
    if is_successful(closed):
        return closed
    error = closed.failure()
    if not isinstance(error, NotADirectory) and link_of(config, key) is not None:
        return Failure(exists_already(key, config))  # the link, which leads to nothing
    return Failure(evolve(error, key=key))
