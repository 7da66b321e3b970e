"""The files of a node by a descriptor of its folder; and new ones, in a folder that nobody sees.

All files come from the folder that was opened, whatever its name has come to mean since. No link
below it leads out of it. Everything here raises `OSError`.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from polystore.backends.beneath import open_beneath
from polystore.backends.whole import LARGE, as_bytes, reserve
from polystore.backends.zarr.tree import Files, Growing
from polystore.core.key import HIDDEN_PREFIX
from polystore.core.records import Buffer, Readable, readable_of

__all__ = [
    "append_file",
    "files_at",
    "kept_files",
    "make_folders",
    "mark_of",
    "new_files",
    "read_all",
]

# linux/limits.h: at most this many buffers in one write (IOV_MAX)
_GATHERED_MAX = 1024
# What is said where the system cannot copy from one file to another by itself.
_NO_RANGE = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM)
# Bytes that are copied at a time where it cannot.
_PIECE = 4 * 2**20
# What file systems say that cannot reserve blocks.


class _OpenFile:
    """An open file, read by position."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill the buffer as far as there are bytes."""
        done = 0
        while done < len(buffer):
            count = os.preadv(self.fd, (buffer[done:] if done else buffer,), offset + done)
            if count == 0:
                break
            done += count
        return done

    def close(self) -> None:
        """Close it, once."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def files_at(folder: int) -> Files:
    """Give the files below an open folder, to be read; the descriptor stays the caller's."""
    return Files(
        partial(_open, folder), _create_nothing, partial(_names, folder), lambda: mark_of(folder)
    )


def kept_files(folder: int, kept: dict[str, bytes | None]) -> Files:
    """Give the files below an open folder, of which some were read already (`None`: are none)."""

    def opened(path: str) -> Readable | None:
        if path not in kept:
            return _open(folder, path)
        content = kept[path]
        return None if content is None else readable_of(content)

    return Files(opened, _create_nothing, partial(_names, folder), lambda: mark_of(folder))


def _open(folder: int, path: str) -> Readable | None:
    try:
        # Without O_NONBLOCK, opening a pipe would wait for its writer.
        fd = open_beneath(folder, path, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    file = _OpenFile(fd)
    return Readable(status.st_size, file.read_into, file.close)


def read_all(folder: int, path: str, longest: int) -> bytes | None:
    """Give the bytes of a file below a folder, `longest` at most; `None` where there is none."""
    try:
        source = _open(folder, path)
    except IsADirectoryError:
        return None
    if source is None:
        return None
    try:
        content = bytearray(min(source.size, longest))
        return bytes(content[: source.read_into(0, memoryview(content))])
    finally:
        source.close()


def _create_nothing(path: str) -> Growing:
    raise OSError(errno.EROFS, "the files of this node are read, not written", path)


def _names(folder: int) -> Iterator[str]:
    for path, folders, files, _ in os.fwalk(".", dir_fd=folder):
        above = "" if path == "." else f"{path[2:]}/"
        folders[:] = [name for name in folders if not name.startswith(HIDDEN_PREFIX)]
        yield from (f"{above}{name}" for name in files if not name.startswith(HIDDEN_PREFIX))


def mark_of(folder: int) -> tuple[int, str]:
    """Give when a folder changed last, and a token of what is in it.

    The kernel's clock for the change of an inode is coarse; what we change has a finer time too.
    """
    own = os.fstat(folder)
    return own.st_mtime_ns, f"{own.st_ino}-{own.st_ctime_ns}-{own.st_mtime_ns}"


class _NewFile:
    """A file that is being written."""

    __slots__ = ("_fd", "_made", "_path", "_size")

    def __init__(self, made: _Made, path: str) -> None:
        self._fd = made.open(path)
        self._made = made
        self._path = path
        self._size = 0

    def append(self, buffers: Sequence[Buffer]) -> None:
        """Write the buffers at the end, without joining them."""
        left = [view for view in map(as_bytes, buffers) if view.nbytes]
        nbytes = sum(view.nbytes for view in left)
        if nbytes >= LARGE:
            reserve(self._fd, self._size + nbytes)
        while left:
            written = os.writev(self._fd, left[:_GATHERED_MAX])
            self._size += written
            while left and written >= left[0].nbytes:
                written -= left.pop(0).nbytes
            if written:
                left[0] = left[0][written:]

    def take(self, source: int, nbytes: int) -> int:
        """Let the system add the bytes of a file, as far as it can; give how many came."""
        done = 0
        try:
            while done < nbytes:
                count = os.copy_file_range(source, self._fd, nbytes - done, done)
                if count == 0:
                    break
                done += count
        except (AttributeError, OSError) as error:  # another system, or two file systems
            if isinstance(error, OSError) and error.errno not in _NO_RANGE:
                raise
        self._size += done
        return done

    def finish(self) -> None:
        """Close the file, which counts from now on."""
        self._made.finished(self._path, self._fd)


class _Made:
    """The new files below a folder, and which of them are not finished."""

    __slots__ = ("_folder", "_lock", "_unfinished")

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._unfinished: dict[str, int] = {}

    def create(self, path: str) -> Growing:
        """Begin a file."""
        file = _NewFile(self, path)
        return Growing(file.append, file.finish)

    def open(self, path: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o666, dir_fd=self._folder)
        except FileNotFoundError:
            make_folders(self._folder, path)
            fd = os.open(path, flags, 0o666, dir_fd=self._folder)
        with self._lock:
            self._unfinished[path] = fd
        return fd

    def finished(self, path: str, fd: int) -> None:
        with self._lock:
            if self._unfinished.pop(path, -1) != fd:
                return
        os.close(fd)  # a file system over a network may say only here that there is no room

    def drop(self) -> None:
        """Remove what was not finished."""
        for path, fd in self._unfinished.items():
            os.close(fd)
            with suppress(OSError):
                os.unlink(path, dir_fd=self._folder)
        self._unfinished.clear()


@contextmanager
def new_files(folder: int) -> Generator[Files]:
    """Give the files of a folder that nobody else sees yet, to be made and to be read.

    Those that were begun and not finished are gone when the block is left.
    """
    made = _Made(folder)
    try:
        yield Files(
            partial(_open, folder), made.create, partial(_names, folder), lambda: mark_of(folder)
        )
    finally:
        made.drop()


def append_file(growing: Growing, source: Readable) -> None:
    """Add the bytes of a file to a new one; the system copies them where both are files of its."""
    begun: object = getattr(growing.append, "__self__", None)
    opened: object = getattr(source.read_into, "__self__", None)
    done = 0
    if isinstance(begun, _NewFile) and isinstance(opened, _OpenFile):
        done = begun.take(opened.fd, source.size)
    buffer = memoryview(bytearray(min(_PIECE, source.size - done)))
    while done < source.size:
        count = source.read_into(done, buffer[: source.size - done])
        if count == 0:
            raise OSError(errno.EIO, "a file is shorter than it was")
        growing.append([buffer[:count]])
        done += count


def make_folders(folder: int, path: str) -> None:
    """Make the folders that a file below a folder is in."""
    for end, character in enumerate(path):
        if character == "/":
            with suppress(FileExistsError):
                os.mkdir(path[:end], dir_fd=folder)
