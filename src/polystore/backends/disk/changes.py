"""What is deleted from a disk store, and what is moved within it: each in one step."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from polystore.backends.beneath import (
    FOLDER,
    open_folder,
    open_key,
    rename_new,
    sync_folders,
)
from polystore.backends.disk.errors import undeleted, unmoved, unread
from polystore.backends.disk.status import refuse_special, status_in
from polystore.backends.disk.writes import folder_for_writing
from polystore.backends.leading import circle, to_itself
from polystore.backends.refusals import into_itself
from polystore.backends.whole import remove_left
from polystore.backends.wholefolder import rename_folder_new
from polystore.core.key import HIDDEN_PREFIX
from polystore.core.outcome import Failure, Outcome, Success

if TYPE_CHECKING:
    from polystore.configs import DiskConfig
    from polystore.core.key import Key
    from polystore.core.records import IfExists

__all__ = ["delete", "move"]

# Each turn that is lost means that another has put a file for a folder, or the other way round.
_TURNS_MAX = 100


def delete(config: DiskConfig, key: Key, /) -> Outcome[None]:
    """Delete a file, a link, or an empty folder."""
    above, _, name = key.rpartition("/")
    synced = config.durability == "fsync"
    try:
        folder = open_folder(config.root, above) if synced else _folder(config, above)
        try:
            _removed(folder, name)
            if synced:
                os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        return Failure(undeleted(error, key, config))
    return Success(None)


def _folder(config: DiskConfig, folder: str) -> int:
    return open_key(config.root, folder or ".", FOLDER)


def _removed(folder: int, name: str) -> None:
    for _ in range(_TURNS_MAX):
        found = status_in(folder, name)
        try:
            if stat.S_ISDIR(found.st_mode):
                return _folder_removed(folder, name)
            if not stat.S_ISLNK(found.st_mode):
                refuse_special(found, name)
            return os.unlink(name, dir_fd=folder)
        except (IsADirectoryError, NotADirectoryError):  # it is another thing by now
            continue
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)


def _folder_removed(parent: int, name: str) -> None:
    try:
        return os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not _holds_only_leftovers(parent, name):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), name) from error
    return os.rmdir(name, dir_fd=parent)


def _holds_only_leftovers(parent: int, name: str) -> bool:
    """Remove what dead writers left in a folder, if there is nothing else; whether that is so."""
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        names = os.listdir(folder)
        return all(each.startswith(HIDDEN_PREFIX) for each in names) and all(
            remove_left(folder, each) for each in names
        )
    finally:
        os.close(folder)


def move(config: DiskConfig, old: Key, new: Key, if_exists: IfExists, /) -> Outcome[bool]:
    """Move a file, a link, or a folder with all that is below it, in one step.

    A link is moved as it is: a relative one that comes into another folder leads elsewhere. It
    replaces nothing that it leads to.
    """
    above, _, name = old.rpartition("/")
    try:
        source = _folder(config, above)
    except OSError as error:
        return Failure(undeleted(error, old, config))
    try:
        found = status_in(source, name)
        if not (stat.S_ISDIR(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            refuse_special(found, old)
        if old == new:
            return Success(True)
        if new.startswith(f"{old}/"):
            return Failure(into_itself(old, new, config))
        return _moved_from(config, source, found, (old, new), if_exists)
    except OSError as error:
        return Failure(unread(error, old, config))
    finally:
        os.close(source)


def _moved_from(
    config: DiskConfig,
    source: int,
    found: os.stat_result,
    keys: tuple[Key, Key],
    if_exists: IfExists,
) -> Outcome[bool]:
    old, new = keys
    above, _, name = new.rpartition("/")
    names = old.rpartition("/")[2], name
    try:
        target = folder_for_writing(config, above)
        try:
            replaces = if_exists == "replace" and stat.S_ISLNK(found.st_mode)
            link = circle(source, target, names) if replaces else None
            if link is not None:
                return Failure(to_itself(old, new, link, config))
            if not _put_there(source, target, names, found, if_exists):
                return Success(False)
        except FileNotFoundError as error:  # one of both ends went meanwhile
            if os.fstat(target).st_nlink or not _mode(source, names[0]):
                return Failure(unread(error, old, config))
            raise
        finally:
            os.close(target)
        if config.durability == "fsync":
            sync_folders(config.root, above)
            sync_folders(config.root, old.rpartition("/")[0])
    except OSError as error:
        if error.errno == errno.EINVAL:  # through a link, this is below the old one
            return Failure(into_itself(old, new, config))
        return Failure(unmoved(error, new, config))
    return Success(True)


def _put_there(
    source: int,
    target: int,
    names: tuple[str, str],
    found: os.stat_result,
    if_exists: IfExists,
) -> bool:
    """Rename; `False` if the new name is taken, and that is to be skipped.

    What is in the way is `EEXIST`, and `EISDIR` where a folder would have to replace or be.
    """
    try:
        if if_exists == "replace" and not stat.S_ISDIR(found.st_mode):
            _rename_over(source, target, names, found)
        else:
            _rename_new(source, target, names, found)
    except FileExistsError as error:
        if if_exists == "skip":
            return False
        if stat.S_ISDIR(found.st_mode) or stat.S_ISDIR(_mode(target, names[1])):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), names[1]) from error
        raise
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Also what an overlay file system says of a folder of its lower layer.
        reason = "that is on another file system, or was on another"
        raise OSError(errno.EOPNOTSUPP, reason, names[1]) from error
    return True


def _mode(folder: int, name: str) -> int:
    try:
        return status_in(folder, name).st_mode
    except FileNotFoundError:
        return 0


def _rename_over(source: int, target: int, names: tuple[str, str], found: os.stat_result) -> None:
    """Rename a file or link over what is there; a folder stays (`EISDIR`)."""
    old, new = names
    with suppress(FileNotFoundError):
        there = status_in(target, new)
        if os.path.samestat(there, found) and found.st_nlink > 1:
            # Two names of one file: a rename would do nothing, and both would stay.
            return os.unlink(old, dir_fd=source)
        if stat.S_ISDIR(there.st_mode):  # the system says ENOTEMPTY of one that the old is in
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), new)
    return os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)


def _rename_new(source: int, target: int, names: tuple[str, str], found: os.stat_result) -> None:
    """Rename to a name that is free (`EEXIST`)."""
    try:
        rename_new(source, *names, target)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP or not stat.S_ISDIR(found.st_mode):
            raise
        rename_folder_new(source, target, names)
