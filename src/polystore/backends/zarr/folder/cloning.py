"""A folder of second names for the files of another: its copy, at no cost in bytes."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from polystore.backends.heldfolder import FOLDER, is_link
from polystore.core.key import HIDDEN_PREFIX

__all__ = ["clone"]

# What file systems say that cannot give a file a second name.
_NO_LINKS = (errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV)


def clone(source: int, into: int) -> None:
    """Give each file below a folder a second name below another; what is there already stays.

    `EOPNOTSUPP` on a file system that has no hard links.
    """
    for path, folders, files, folder in os.fwalk(".", dir_fd=source):
        hidden = [name for name in folders if name.startswith(HIDDEN_PREFIX)]
        for name in hidden:  # of writers below, such as those of an image's labels
            folders.remove(name)
        target = os.open(path, FOLDER, dir_fd=into)
        try:
            for name in folders:
                if not is_link(folder, name):
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=target)
            links = [name for name in folders if is_link(folder, name)]
            for name in (*files, *links):
                if not name.startswith(HIDDEN_PREFIX):
                    _second_name(folder, target, name)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise OSError(errno.EOPNOTSUPP, "this file system has no hard links", path) from error
        finally:
            os.close(target)


def _second_name(folder: int, target: int, name: str) -> None:
    with suppress(FileExistsError):
        os.link(name, name, src_dir_fd=folder, dst_dir_fd=target, follow_symlinks=False)
