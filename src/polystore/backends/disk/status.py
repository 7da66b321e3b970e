"""What stands under a key of a disk store, with its links followed and without.

All but `look` raise `OSError`.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from polystore.backends.beneath import FOLDER, LOOK, LinksTo, open_key, read_link
from polystore.backends.disk.errors import unfound
from polystore.core.outcome import Failure, Outcome, Success
from polystore.core.records import Stat

if TYPE_CHECKING:
    from polystore.configs import DiskConfig
    from polystore.core.key import Key

__all__ = ["BROKEN", "look", "own_status", "refuse_special", "status", "status_in"]

BROKEN = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ENAMETOOLONG)
"""What the system says of a link that leads nowhere, in a circle, or out of the root."""


def look(config: DiskConfig, key: Key) -> Outcome[Stat]:
    """Say what stands under a key: one system call for a file or a folder directly in the root."""
    try:
        found = own_status(config.root, key, config.links_to)
        while stat.S_ISLNK(found.st_mode):
            link = read_link(config.root, key, config.links_to)
            if link is not None:
                return Success(_followed(config, key, link))
            found = own_status(config.root, key, config.links_to)
        return Success(_said(found, key))
    except OSError as error:
        return Failure(unfound(error, key, config))


def _said(found: os.stat_result, key: str, link: str | None = None) -> Stat:
    if stat.S_ISDIR(found.st_mode):
        return Stat("folder", None, found.st_mtime_ns, link)
    refuse_special(found, key)
    # The clock of the times stands still within a tick; another file has another inode meanwhile.
    etag = f"{found.st_ino}-{found.st_ctime_ns}-{found.st_size}"
    return Stat("file", found.st_size, found.st_mtime_ns, link, etag)


def _followed(config: DiskConfig, key: str, link: str) -> Stat:
    try:
        return _said(_target_status(config, key), key, link)
    except OSError as error:
        if error.errno not in BROKEN:
            raise
    return Stat("broken link", None, None, link)


def refuse_special(found: os.stat_result, key: str) -> None:
    """Raise what the system says of a folder, or of a pipe, socket or device, used as a file."""
    if not stat.S_ISREG(found.st_mode):
        code = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.ENXIO
        raise OSError(code, os.strerror(code), key)


def own_status(root: str, key: str, links_to: LinksTo = ()) -> os.stat_result:
    """Give the status of what has the name itself, a link too; the links above it are followed."""
    above, slash, name = key.rpartition("/")
    if not slash:
        # A name in the root cannot lead out of it when it is not followed.
        try:
            return os.lstat(f"{root}/{name}")
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error), root) from error
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:  # as long as paths may be may be the root alone
                raise
    folder = open_key(root, above or ".", FOLDER, links_to)
    try:
        return status_in(folder, name)
    finally:
        os.close(folder)


def status_in(folder: int, name: str) -> os.stat_result:
    """Give the status of what has a name in a folder, a link too."""
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


def status(config: DiskConfig, key: str) -> os.stat_result:
    """Give the status of a file or folder, links followed; raises for what is neither, too."""
    found = _target_status(config, key)
    if not stat.S_ISDIR(found.st_mode):
        refuse_special(found, key)
    return found


def _target_status(config: DiskConfig, key: str) -> os.stat_result:
    fd = open_key(config.root, key, LOOK, config.links_to)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)
