"""The bytes of a stored file, handed from one store to another piece by piece."""

from __future__ import annotations

from collections.abc import Iterator

from polystore.backends.target import Target, located
from polystore.core.errors import StorageError, Unavailable
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Encoded, IfExists, Readable
from polystore.files.target import unchangeable, unsupported

__all__ = ["PIECE", "same_bytes", "streamed"]

PIECE = 4 * 2**20
"""Bytes that are held at once: large enough that the calls cost nothing beside the copying."""


def streamed(source: Target, target: Target, if_exists: IfExists) -> Outcome[tuple[bool, int]]:
    """Put the bytes of one key under another: whether it was written, and how many there were.

    Nothing is decoded. What the source's failing interrupts is not there at all: that is what `put`
    promises.
    """
    get, put = source.backend.get, target.backend.put
    if get is None:
        return Failure(unsupported(source, "give the bytes of a key"))
    if put is None:
        return Failure(unchangeable(target, "take the bytes of a file"))
    opened = get(source.handle, source.key)
    if not is_successful(opened):
        return Failure(located(opened.failure(), source.key, source.config))
    content = opened.unwrap()
    broken: list[StorageError] = []
    try:
        encoded = Encoded(_pieces(content, source, broken), content.size)
        written = put(target.handle, target.key, encoded, if_exists)
    except OSError:
        if not broken:
            raise
        return Failure(broken[0])
    finally:
        content.close()
    if broken:  # the target says that a write failed, and cannot know why
        return Failure(broken[0])
    return written.map(lambda new: (new, content.size)).alt(
        lambda error: located(error, target.key, target.config)
    )


def same_bytes(one: Target, other: Target) -> Outcome[bool]:
    """Whether two keys hold the same bytes now: both are read, piece by piece."""
    contents: list[Readable] = []
    broken: list[StorageError] = []
    try:
        for target in (one, other):
            if target.backend.get is None:
                return Failure(unsupported(target, "give the bytes of a key"))
            opened = target.backend.get(target.handle, target.key)
            if not is_successful(opened):
                return Failure(located(opened.failure(), target.key, target.config))
            contents.append(opened.unwrap())
        mine, theirs = contents
        if mine.size != theirs.size:
            return Success(False)
        pairs = zip(_pieces(mine, one, broken), _pieces(theirs, other, broken), strict=True)
        return Success(all(here == there for here, there in pairs))
    except OSError:
        if not broken:
            raise
        return Failure(broken[0])
    finally:
        for content in contents:
            content.close()


def _pieces(content: Readable, source: Target, broken: list[StorageError]) -> Iterator[bytearray]:
    """Give the bytes, each piece in memory of its own, for a store may keep them until the end."""
    at = 0
    while at < content.size:
        piece = bytearray(min(PIECE, content.size - at))
        _fill(content, at, piece, source, broken)
        at += len(piece)
        yield piece


def _fill(
    content: Readable, at: int, piece: bytearray, source: Target, broken: list[StorageError]
) -> None:
    """Read a whole piece; a short read is read on. Raises `OSError`, and says why in `broken`."""
    view = memoryview(piece)
    try:
        while view:
            count = content.read_into(at, view)
            if count <= 0:
                raise OSError("it ended early")
            at, view = at + count, view[count:]
    except OSError as error:
        broken.append(
            Unavailable(
                source.key,
                source.config,
                f"{source.key!r} could not be read to its end: {error.strerror or error}.",
                "Check the disk or the connection, and whether another process cuts it short.",
            )
        )
        raise
