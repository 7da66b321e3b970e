"""Moving an array, a link, or a group with all that is below it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
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
from polystore.backends.zarr.groups import group_folder, no_name, not_ours, of_version_2
from polystore.backends.zarr.node import (
    TURNS_MAX,
    Node,
    node_at,
    open_folder,
    refuse_all_but_arrays,
)
from polystore.backends.zarr.reading import ZarrFolder, absent, guarded, inside_array
from polystore.backends.zarr.removing import remove
from polystore.backends.zarr.writing import unwritten
from polystore.configs import ZarrConfig
from polystore.core.errors import StorageError, UnsupportedOperation
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.records import IfExists

__all__ = ["clone", "move_node"]

_Kind: TypeAlias = Node | Literal["link"]

# What file systems say that cannot give a file a second name.
_NO_LINKS = (errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV)


@frozen
class _End:
    """One end of a move: the key, the folder that it is in, and its name there."""

    key: Key
    parent: int
    name: str

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

    def kind(self) -> _Kind:
        """Say what has the name."""
        return "link" if is_link(self.parent, self.name) else node_at(self.parent, self.name)

    def is_folder(self) -> bool:
        """Whether what has the name may not be replaced: a group, and whatever is not Zarr's."""
        try:
            return self.kind() in ("group", "plain", "version 2")
        except NotADirectoryError:  # a file
            return True


def move_node(store: ZarrFolder, old: Key, new: Key, if_exists: IfExists, /) -> Outcome[bool]:
    """Move an array, a link, or a group with all that is below it; groups on the way are made.

    It is one step where nothing has to be replaced. An array or link is replaced in one step, too;
    what replaces it then has both keys for a moment, in which nobody finds it under none. A link is
    moved as it is: a relative one that comes into another folder leads elsewhere. It replaces
    nothing that it leads to.
    """
    config = store.config
    return guarded(lambda: _moved(config, old, new, if_exists), old, config)


def _moved(config: ZarrConfig, old: Key, new: Key, if_exists: IfExists) -> Outcome[bool]:
    source = _source(config, old)
    try:
        kind = source.kind()
        refused = _immovable(config, old, kind) or no_name(new, config)
        if refused is not None:
            return Failure(refused)
        if old == new:
            return Success(True)
        if new.startswith(f"{old}/"):
            return Failure(into_itself(old, new, config))
        done = guard(
            lambda: _moved_to(config, source, kind, new, if_exists),
            catch(OSError, lambda error: _unmoved(error, old, new, config)),
        )
        return and_then(done, lambda it: it)
    finally:
        os.close(source.parent)


def _source(config: ZarrConfig, old: Key) -> _End:
    above, _, name = old.rpartition("/")
    root = open_root(config.root)
    try:
        return _End(old, open_folder(root, above), name)
    finally:
        os.close(root)


def _immovable(config: ZarrConfig, key: Key, kind: _Kind) -> StorageError | None:
    if kind == "version 2":
        return of_version_2(key, config, repr(key))
    if kind == "plain":
        return inside_array(config, key) or not_ours(key, config, "move")
    return None


def _moved_to(
    config: ZarrConfig, source: _End, kind: _Kind, new: Key, if_exists: IfExists
) -> Outcome[bool]:
    above, _, name = new.rpartition("/")
    group = group_folder(config.root, above, config)
    if not is_successful(group):
        return Failure(evolve(group.failure(), key=new))
    target = _End(new, group.unwrap(), name)
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
    if kind == "link" and if_exists == "replace":
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
    is_folder = kind == "group" or target.is_folder()
    if is_folder or if_exists != "replace":
        return Failure(in_the_way(target.key, config, is_folder=is_folder))
    _move_instead(source, kind, target)
    return Success(True)


def _move_instead(source: _End, kind: _Kind, target: _End) -> None:
    """Put an array or link in the place of another; then it goes from where it was.

    No system call moves a folder over another one. An exchange alone would show, under the old key,
    what was replaced. So what is put into place is a folder of second names for the same files.
    """
    if kind == "link":
        text = os.readlink(source.name, dir_fd=source.parent)
        settle_link(target.parent, text, target.name, refuse_all_but_arrays)
        return _remove_moved(source, _refuse)
    moved = os.open(source.name, FOLDER, dir_fd=source.parent)
    try:
        with hidden_folder(target.parent) as hidden:
            clone(moved, hidden.fd)
            if not stands(source.parent, source.name, moved):  # perhaps it was half removed by then
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source.name)
            settle_instead(target.parent, hidden, target.name, refuse_all_but_arrays)

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


def clone(source: int, into: int) -> None:
    """Give each file below a folder a second name below another, which is empty.

    `EOPNOTSUPP` on a file system that has no hard links.
    """
    for path, folders, files, folder in os.fwalk(".", dir_fd=source):
        target = os.open(path, FOLDER, dir_fd=into)
        try:
            for name in folders:
                if not is_link(folder, name):
                    os.mkdir(name, dir_fd=target)
            links = [name for name in folders if is_link(folder, name)]
            for name in (*files, *links):
                os.link(name, name, src_dir_fd=folder, dst_dir_fd=target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise OSError(errno.EOPNOTSUPP, "this file system has no hard links", path) from error
        finally:
            os.close(target)


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
