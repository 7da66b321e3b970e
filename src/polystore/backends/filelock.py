"""Locks of keys, between threads and processes: a hidden file in the root for each locked key.

The file has the key's name in disguise, whatever stands under the key, and is there only as long as
somebody holds the lock or waits for it. The system lets go of a lock when its holder dies; the file
that it leaves is the next one's to use, or swept. A forked child holds none of its parent's locks.

Whoever has locked a file looks whether it still is the one of that name: the one before may have
removed it on letting go. Only who holds the lock of a file, and has looked, removes it.
"""

from __future__ import annotations

import errno
import os
import time
from functools import cache, partial
from hashlib import sha256
from typing import TYPE_CHECKING
from weakref import WeakSet

from polystore.backends.beneath import make_root
from polystore.backends.oserrors import from_os
from polystore.core.errors import LockTimeout, StorageError, UnsupportedOperation
from polystore.core.key import HIDDEN_PREFIX
from polystore.core.outcome import Failure, Outcome, Success

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType

    from polystore.core.key import Key

__all__ = ["LOCK_FILE", "file_lock", "folder_lock", "lock_at_once", "remove_locked"]

LOCK_FILE = f"{HIDDEN_PREFIX}lock-"
"""How the name of a lock file begins."""

_PAUSE_FIRST_S = 0.001
_PAUSE_LAST_S = 0.05

# What a file system without locks says.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def file_lock(
    root: str, key: Key, seconds: float, config: object
) -> Outcome[AbstractContextManager[None]]:
    """Lock a key of the store in the folder `root`, and give what lets go of it when it is left.

    The lock is held already when this returns; it holds against other locks of the same key and
    root, in any thread or process of this machine (on a file system that is shared, of those others
    whose locks it passes on), and against nothing else. It is not reentrant: who locks a key twice
    waits for itself. Another root above or below, or a link to the key, is another lock.

    The key need not exist; a root that does not is made, as by a save. `LockTimeout` after
    `seconds` (0: at once), `UnsupportedOperation` on a file system without locks, and what the
    system says of a root that cannot be written to.

    >>> import tempfile
    >>> from polystore import Key
    >>> root = tempfile.mkdtemp()
    >>> with file_lock(root, Key("a.json"), 1, None).unwrap():
    ...     print(type(file_lock(root, Key("a.json"), 0, None).failure()).__name__)
    LockTimeout
    >>> os.listdir(root)
    []
    """
    return _lock(partial(make_root, root), key, key, seconds, config)


def folder_lock(
    opened: Callable[[], int], word: str, key: str, seconds: float, config: object
) -> Outcome[AbstractContextManager[None]]:
    """Lock something in a folder, of which `opened` gives a descriptor each time; as `file_lock`.

    `word` tells it from what else is locked there: it never is the lock of a key. `key` and
    `config` are those of the errors.
    """
    return _lock(opened, f"\0{word}", key, seconds, config)


def _lock(
    opened: Callable[[], int], word: str, key: str, seconds: float, config: object
) -> Outcome[AbstractContextManager[None]]:
    name = f"{LOCK_FILE}{sha256(word.encode()).hexdigest()[:32]}"
    try:
        held = _locked(opened, name, seconds)
    except OSError as error:
        return Failure(_refused(error, key, config))
    return Failure(_timeout(key, seconds, config)) if held is None else Success(held)


class _Held:
    """A lock that is held until the block ends, or nobody knows it any more."""

    __slots__ = ("__weakref__", "_fd", "_folder", "_name")

    def __init__(self, fd: int, folder: int, name: str) -> None:
        self._fd = fd
        self._folder = folder
        self._name = name
        _held_here().add(self)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let go, once: the file goes first, so that the next one begins with its own."""
        fd, folder = self._forgotten()
        if fd < 0:
            return
        try:
            remove_locked(folder, self._name, fd)
        finally:
            os.close(fd)
            os.close(folder)

    def forget(self) -> None:
        """Close the descriptors and let go of nothing: the lock is the parent's."""
        for fd in self._forgotten():
            if fd >= 0:
                os.close(fd)

    def _forgotten(self) -> tuple[int, int]:
        fds = self._fd, self._folder
        self._fd = self._folder = -1
        return fds

    __del__ = release


@cache
def _held_here() -> WeakSet[_Held]:
    """Give the locks of this process; a child forked from it has each of them forgotten.

    A child that kept one open would hold it for as long as it lives.
    """
    held = WeakSet[_Held]()

    def forget_in_child() -> None:
        for each in tuple(held):
            each.forget()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forget_in_child)
    return held


def _locked(opened: Callable[[], int], name: str, seconds: float) -> _Held | None:
    """Give the lock, or `None` when the time is over. Raises `OSError`."""
    deadline = time.monotonic() + seconds
    pause = _PAUSE_FIRST_S
    while True:
        # Anew each time: the root may have been removed and made again.
        folder = opened()
        try:
            fd = _opened(folder, name)
            try:
                locked = lock_at_once(fd)
                if locked and _stands(folder, name, fd):
                    held = _Held(fd, folder, name)
                    fd = folder = -1
                    return held
            finally:
                _close(fd)
        finally:
            _close(folder)
        left = deadline - time.monotonic()
        if not (locked or left > 0):
            return None
        if not locked:
            time.sleep(min(pause, left))
            pause = min(2 * pause, _PAUSE_LAST_S)


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _opened(folder: int, name: str) -> int:
    # Over a network, only a file that may be written to can be locked for oneself.
    flags = os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(name, os.O_RDWR | os.O_CREAT | flags, 0o666, dir_fd=folder)
    except PermissionError:  # it is another user's, or the folder is
        try:
            return os.open(name, os.O_RDONLY | flags, dir_fd=folder)
        except FileNotFoundError:
            pass
        raise


def lock_at_once(fd: int) -> bool:
    """Lock an open file for oneself, if that can be at once; `False` if another holds it."""
    import portalocker

    try:
        portalocker.lock(fd, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.AlreadyLocked:
        return False
    except portalocker.LockException as exception:
        cause = exception.__cause__
        if not isinstance(cause, OSError):
            raise
        code = errno.ENOLCK if cause.errno in _NO_LOCKS else cause.errno
        raise OSError(code, cause.strerror) from exception
    return True


def remove_locked(folder: int, name: str, fd: int) -> None:
    """Remove a file that is locked by its descriptor, unless its name is another's by now."""
    try:
        if _stands(folder, name, fd):
            os.unlink(name, dir_fd=folder)
    except OSError:  # not ours to remove: the next one uses it, or the sweeper's owner sweeps it
        pass


def _stands(folder: int, name: str, fd: int) -> bool:
    try:
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(fd))


def _timeout(key: str, seconds: float, config: object) -> LockTimeout:
    return LockTimeout(
        key,
        config,
        f"{key!r} was locked by another for longer than {seconds:g} seconds.",
        "Try again, or wait longer; a lock that its own thread holds is never let go.",
    )


def _refused(error: OSError, key: str, config: object) -> StorageError:
    if error.errno == errno.ENOLCK:
        return UnsupportedOperation(
            key,
            config,
            f"{key!r} cannot be locked: this file system has no locks.",
            "Keep the store on a local file system.",
        )
    return from_os(error, key, config)
