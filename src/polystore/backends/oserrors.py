"""What the operating system says, as polystore's errors."""

from __future__ import annotations

import errno
from collections.abc import Callable

from polystore.core.errors import (
    AlreadyExists,
    InvalidKey,
    NoSpace,
    NotADirectory,
    NotAFile,
    NotFound,
    PermissionDenied,
    ReadOnly,
    StorageError,
    Unavailable,
    UnsupportedOperation,
)

__all__ = ["exists_already", "from_os"]


_EXISTS = (
    AlreadyExists,
    "{about} exists already.",
    'Save with if_exists="replace", or with "skip" to keep what is there.',
)


def exists_already(key: str, config: object) -> AlreadyExists:
    """Give the error of a save that must not replace.

    >>> print(exists_already("a.npy", None).message)
    'a.npy' exists already.
    """
    kind, message, advice = _EXISTS
    return kind(key, config, message.format(about=f"{key!r}"), advice)


def from_os(error: OSError, key: str, config: object) -> StorageError:
    """Give the typed error for an exception of the operating system about a key.

    >>> type(from_os(OSError(28, "No space left on device"), "a.npy", None)).__name__
    'NoSpace'
    """
    about = f"{key!r}" if key else "the root of the store"
    kind, message, advice = _SENTENCES.get(error.errno or 0, _UNKNOWN)
    reason = error.strerror or str(error)
    return kind(key, config, message.format(about=about, reason=reason), advice)


_ROOM = (
    NoSpace,
    "There is no room for {about}: {reason}.",
    "Free some space and save again; what was there before is untouched.",
)
_WAY_OUT = (
    InvalidKey,
    "{about} leads out of the root through a link, or in a circle.",
    "Name the other folder by a config of its own, and links to it by links_to=(that config,).",
)
_REFUSED = (
    PermissionDenied,
    "The operating system refused access to {about}.",
    "Check the owner and the permissions of the file and of the folders above it.",
)
_NO_NAME = (
    InvalidKey,
    "The file system takes no name like {about}: {reason}.",
    "Use another key or root: shorter, and of plain characters.",
)
_UNKNOWN = (
    Unavailable,
    "The operating system failed on {about}: {reason}.",
    "Check the disk, and the number of open files, then try again.",
)

_SENTENCES: dict[int, tuple[Callable[[str, object, str, str], StorageError], str, str]] = {
    errno.ENOENT: (
        NotFound,
        "{about} does not exist.",
        "See list_files(store) for what does.",
    ),
    errno.EEXIST: _EXISTS,
    errno.ENOTEMPTY: _EXISTS,
    errno.EISDIR: (
        NotAFile,
        "{about} is a folder.",
        "Choose a key that is neither a folder of another key nor below one.",
    ),
    errno.ENXIO: (
        NotAFile,
        "{about} is no file: it is a pipe, a socket or a device.",
        "Choose another key, or move it out of the folder.",
    ),
    errno.ENOTDIR: (
        NotADirectory,
        "A file stands where {about} needs a folder.",
        "Choose another root or key, or move the file away.",
    ),
    errno.EXDEV: _WAY_OUT,
    errno.ELOOP: _WAY_OUT,
    errno.ENAMETOOLONG: _NO_NAME,
    errno.EINVAL: _NO_NAME,
    errno.EILSEQ: _NO_NAME,
    errno.EACCES: _REFUSED,
    errno.EPERM: _REFUSED,
    errno.EROFS: (
        ReadOnly,
        "The file system that {about} is on can only be read.",
        "Save to another store, or mount it for writing.",
    ),
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.ESTALE: (
        Unavailable,
        "{about} was changed since it was opened: {reason}.",
        "Load it again.",
    ),
    errno.EOPNOTSUPP: (
        UnsupportedOperation,
        "It cannot be done with {about}: {reason}.",
        'Save with if_exists="replace", or to another file system.',
    ),
}
"""By the number of the error: its class, what is wrong, and what to do."""
