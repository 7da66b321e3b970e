"""System calls of Linux that Python has no function for.

Each raises `OSError`; `ENOSYS` where there is no such call.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RENAME_EXCHANGE", "RENAME_NOREPLACE", "fallocate", "link_open", "openat2", "renameat2"]

# linux/fs.h
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2

# linux/openat2.h; the number of the system call is the same on every architecture.
_SYS_OPENAT2 = ctypes.c_long(437)
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
# linux/fcntl.h
_AT_EMPTY_PATH = 0x1000


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_HOW_BYTES = ctypes.c_size_t(ctypes.sizeof(_OpenHow))


@lru_cache(maxsize=64)
def _how(flags: int) -> _OpenHow:
    return _OpenHow(flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)


def openat2(folder: int, path: str, flags: int) -> int:
    """Open what exists at a path, resolved beneath a folder; `EXDEV` if it leads out of it.

    `EAGAIN` where something was renamed meanwhile and the kernel cannot tell.
    """
    how = ctypes.byref(_how(flags))
    return _checked("syscall", path, _SYS_OPENAT2, folder, os.fsencode(path), how, _HOW_BYTES)


def renameat2(folder: int, old: str, new: str, flags: int, into: int | None = None) -> None:
    """Rename within a folder, or `into` another, with `RENAME_NOREPLACE` or `RENAME_EXCHANGE`."""
    target = folder if into is None else into
    _checked("renameat2", new, folder, os.fsencode(old), target, os.fsencode(new), flags)


def link_open(fd: int, folder: int, name: str) -> None:
    """Give an open file, one without a name too, a name in a folder; `EEXIST` if it is taken.

    `ENOENT` without the right to (old kernels want `CAP_DAC_READ_SEARCH`).
    """
    _checked("linkat", name, fd, b"", folder, os.fsencode(name), _AT_EMPTY_PATH)


def fallocate(fd: int, nbytes: int) -> None:
    """Reserve the blocks of a file; `EOPNOTSUPP` where the file system has no such thing.

    Unlike `os.posix_fallocate`, which then writes into every block.
    """
    _checked("fallocate64", None, fd, 0, ctypes.c_int64(0), ctypes.c_int64(nbytes))


def _checked(name: str, path: str | None, *args: object) -> int:
    call = _function(name)
    while True:
        result = call(*args)
        if result >= 0:
            return result
        code = ctypes.get_errno()
        if code != errno.EINTR:  # a signal came, and Python's handler for it has run
            raise OSError(code, os.strerror(code), path)


@cache
def _function(name: str) -> Callable[..., int]:
    """Give a function of the C library; it takes `int` as C's int and `bytes` as `char *`."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name)
    try:
        return ctypes.CDLL(None, use_errno=True)[name]
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name) from None
