"""Moving an item, a link, or a group with all that is below it."""

from __future__ import annotations

import errno
import os
from contextlib import nullcontext, suppress
from typing import Literal, TypeAlias

from attrs import evolve, frozen

from polystore.backends.beneath import open_root, rename_new
from polystore.backends.heldfolder import FOLDER, is_link, stands
from polystore.backends.leading import circle, to_itself
from polystore.backends.refusals import in_the_way, into_itself
from polystore.backends.wholefolder import (
    Check,
    hidden_folder,
    rename_folder_new,
    settle_instead,
    settle_link,
)
from polystore.backends.zarr.folder.building import unwritten
from polystore.backends.zarr.folder.cloning import clone
from polystore.backends.zarr.folder.groups import group_folder, no_name, not_ours
from polystore.backends.zarr.folder.locking import node_lock
from polystore.backends.zarr.folder.node import (
    LINKS_MAX,
    TURNS_MAX,
    Found,
    found_at,
    is_whole,
    link_at,
    open_parent,
    refuse_all_but_items,
)
from polystore.backends.zarr.folder.reading import absent, guarded, inside_item
from polystore.backends.zarr.folder.removing import part_of_image, remove
from polystore.configs import ZarrConfig, ZarrLayout
from polystore.core.errors import LockTimeout, StorageError, UnsupportedOperation
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.records import IfExists

__all__ = ["move_node"]

_Kind: TypeAlias = Literal["item", "symlink", "folder", "plain"]
"""What is moved or in the way: one that can be replaced, or not; `plain` is no node of Zarr's."""


@frozen
class _End:
    """One end of a move: the key, the folder that it is in, and its name there."""

    key: Key
    parent: int
    name: str
    layout: ZarrLayout

    def status(self) -> os.stat_result:
        """Give the status of what has the name, a link too."""
        return os.stat(self.name, dir_fd=self.parent, follow_symlinks=False)

    def exists(self) -> bool:
        """Whether something has the name."""
        try:
            self.status()
        except FileNotFoundError:
            return False
        return True

    def found(self) -> Found | None:
        """Say what has the name; `None` for a link of the system's."""
        return None if is_link(self.parent, self.name) else found_at(self.parent, self.name)

    def kind(self, found: Found | None) -> _Kind:
        """Say how what was found is moved."""
        if found is None:
            return "symlink"
        if found.node == "plain":
            return "plain"
        is_item = found.node == "damaged" or is_whole(found.node, self.layout)
        return "item" if is_item else "folder"

    def is_folder(self) -> bool:
        """Whether what has the name may not be replaced: a group, and whatever is not Zarr's."""
        try:
            return self.kind(self.found()) in ("folder", "plain")
        except NotADirectoryError:  # a file
            return True


def move_node(config: ZarrConfig, old: Key, new: Key, if_exists: IfExists) -> Outcome[bool]:
    """Move an item, a link, or a group with all that is below it; groups on the way are made.

    It is one step where nothing has to be replaced. An item or link is replaced in one step, too;
    what replaces it then has both keys for a moment, in which nobody finds it under none. A link is
    moved as it is: a relative one that comes into another folder leads elsewhere. It replaces
    nothing that it leads to.
    """
    return guarded(lambda: _moved(config, old, new, if_exists), old, config)


def _moved(config: ZarrConfig, old: Key, new: Key, if_exists: IfExists) -> Outcome[bool]:
    root = open_root(config.root)
    try:
        parent, real = open_parent(root, old)
        source = _End(old, parent, old.rpartition("/")[2], config.layout)
        try:
            found = source.found()
            refused = _immovable(config, root, (old, real), source.kind(found)) or no_name(
                new, config
            )
            if refused is not None:
                return Failure(refused)
            if old == new:
                return Success(True)
            if new.startswith(f"{old}/"):
                return Failure(into_itself(old, new, config))
            link = None if found is None else found.link
            if link is not None and if_exists == "replace" and _leads_over(root, link, new):
                return Failure(to_itself(old, new, link, config))
            done = guard(
                lambda: _moved_to(config, source, found, new, if_exists),
                catch(OSError, lambda error: _unmoved(error, old, new, config)),
            )
            return and_then(done, lambda it: it)
        finally:
            os.close(source.parent)
    finally:
        os.close(root)


def _immovable(
    config: ZarrConfig, root: int, key: tuple[Key, str], kind: _Kind
) -> StorageError | None:
    old, real = key
    if kind == "plain":
        return inside_item(config, old) or not_ours(old, config, "move")
    return part_of_image(config, root, real, "move")


def _leads_over(root: int, link: str, new: str) -> bool:
    """Whether a link, or one that it leads to, leads to a key, or through it."""
    for _ in range(LINKS_MAX):
        if link == new or link.startswith(f"{new}/"):
            return True
        try:
            further = link_at(root, link)
        except OSError:
            return False
        if further is None:
            return False
        link = further
    return False


def _moved_to(
    config: ZarrConfig, source: _End, found: Found | None, new: Key, if_exists: IfExists
) -> Outcome[bool]:
    kind = source.kind(found)
    above, _, name = new.rpartition("/")
    group = group_folder(config, above, name, None if found is None else found.version)
    if not is_successful(group):
        return Failure(evolve(group.failure(), key=new))
    target = _End(new, group.unwrap(), name, config.layout)
    try:
        for _ in range(TURNS_MAX):
            try:
                return _moved_once(config, source, kind, target, if_exists)
            except FileNotFoundError:  # one of both ends went meanwhile
                if not source.exists():
                    return Failure(absent(source.key, config))
                if not os.fstat(target.parent).st_nlink:
                    raise
    finally:
        os.close(target.parent)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), new)


def _moved_once(
    config: ZarrConfig, source: _End, kind: _Kind, target: _End, if_exists: IfExists
) -> Outcome[bool]:
    if kind == "symlink" and if_exists == "replace":
        link = circle(source.parent, target.parent, (source.name, target.name))
        if link is not None:
            return Failure(to_itself(source.key, target.key, link, config))
    try:
        _rename_new(source, target)
    except FileExistsError:
        return _moved_onto(config, source, kind, target, if_exists)
    return Success(True)


def _rename_new(source: _End, target: _End) -> None:
    try:
        rename_new(source.parent, source.name, target.name, target.parent)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP or is_link(source.parent, source.name):
            raise
        rename_folder_new(source.parent, target.parent, (source.name, target.name))


def _moved_onto(
    config: ZarrConfig, source: _End, kind: _Kind, target: _End, if_exists: IfExists
) -> Outcome[bool]:
    """Move to where something stands already."""
    if os.path.samestat(source.status(), target.status()):  # the same, by way of a link
        return Success(True)
    if if_exists == "skip":
        return Success(False)
    is_folder = kind == "folder" or target.is_folder()
    if is_folder or if_exists != "replace":
        return Failure(in_the_way(target.key, config, is_folder=is_folder))
    # A region that is written meanwhile would be in files that are about to go.
    lock = node_lock(source.parent, source.name, source.key, config)
    if not is_successful(lock) and isinstance(lock.failure(), LockTimeout):
        return Failure(lock.failure())
    with lock.value_or(nullcontext()):
        _move_instead(source, kind, target)
    return Success(True)


def _move_instead(source: _End, kind: _Kind, target: _End) -> None:
    """Put an array or link in the place of another; then it goes from where it was.

    No system call moves a folder over another one. An exchange alone would show, under the old key,
    what was replaced. So what is put into place is a folder of second names for the same files.
    """
    check = refuse_all_but_items(target.layout)
    if kind == "symlink":
        text = os.readlink(source.name, dir_fd=source.parent)
        settle_link(target.parent, text, target.name, check)
        return _remove_moved(source, _refuse)
    moved = os.open(source.name, FOLDER, dir_fd=source.parent)
    try:
        with hidden_folder(target.parent) as hidden:
            clone(moved, hidden.fd)
            if not stands(source.parent, source.name, moved):  # perhaps it was half removed by then
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source.name)
            settle_instead(target.parent, hidden, target.name, check)

        def refuse_others(folder: int) -> None:
            if not os.path.samestat(os.fstat(folder), os.fstat(moved)):
                _refuse(folder)

        _remove_moved(source, refuse_others)
    finally:
        os.close(moved)


def _refuse(_folder: int) -> None:
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))


def _remove_moved(source: _End, check: Check) -> None:
    """Remove what was moved, unless it is gone, or another has put something else there."""
    with suppress(FileNotFoundError, IsADirectoryError):
        remove(source.parent, source.name, check)


def _unmoved(error: OSError, old: str, new: str, config: ZarrConfig) -> StorageError:
    if error.errno == errno.EINVAL:  # through a link, the new key is below the old one
        return into_itself(old, new, config)
    if error.errno in (errno.EXDEV, errno.EOPNOTSUPP):
        return UnsupportedOperation(
            new,
            config,
            f"This file system cannot move {old!r} to {new!r} in one step.",
            "Copy it, and delete the old one: copy(store, key, new), delete(store, key).",
        )
    return unwritten(error, new, config)
