"""What the operating system says, as polystore's errors."""

from __future__ import annotations

import errno

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


def exists_already(key: str, config: object) -> AlreadyExists:
    """Give the error of a save that must not replace.

    >>> print(exists_already("a.npy", None).message)
    'a.npy' exists already.
    """
    return AlreadyExists(
        key,
        config,
        f"{key!r} exists already.",
        'Save with if_exists="replace", or with "skip" to keep what is there.',
    )


def from_os(error: OSError, key: str, config: object) -> StorageError:
    """Give the typed error for an exception of the operating system about a key.

    >>> type(from_os(OSError(28, "No space left on device"), "a.npy", None)).__name__
    'NoSpace'
    """
    about = f"{key!r}" if key else "the root of the store"
    match error.errno:
        case errno.ENOENT:
            return NotFound(
                key, config, f"{about} does not exist.", "See list_files(store) for what does."
            )
        case errno.EEXIST | errno.ENOTEMPTY:
            return exists_already(key, config)
        case errno.EISDIR:
            return NotAFile(
                key,
                config,
                f"{about} is a folder.",
                "Choose a key that is neither a folder of another key nor below one.",
            )
        case errno.ENOTDIR:
            return NotADirectory(
                key,
                config,
                f"A file stands where {about} needs a folder.",
                "Choose another root or key, or move the file away.",
            )
        case errno.EXDEV | errno.ELOOP:
            return InvalidKey(
                key,
                config,
                f"{about} leads out of the root through a link, or in a circle.",
                "Name the other folder by a config of its own.",
            )
        case errno.ENAMETOOLONG:
            return InvalidKey(
                key,
                config,
                f"{about} is longer than the file system allows.",
                "Use a shorter key or root.",
            )
        case errno.EACCES | errno.EPERM:
            return PermissionDenied(
                key,
                config,
                f"The operating system refused access to {about}.",
                "Check the owner and the permissions of the file and of the folders above it.",
            )
        case errno.EROFS:
            return ReadOnly(
                key, config, "The file system can only be read.", "Save to another store."
            )
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return NoSpace(
                key,
                config,
                f"There is no room for {about}: {error.strerror}.",
                "Free some space and save again; what was there before is untouched.",
            )
        case errno.EOPNOTSUPP:
            return UnsupportedOperation(
                key,
                config,
                f"{error.strerror or error}.",
                'Save with if_exists="replace", or to another file system.',
            )
        case _:
            return Unavailable(
                key,
                config,
                f"The operating system failed on {about}: {error.strerror or error}.",
                "Check the disk, and the number of open files, then try again.",
            )
